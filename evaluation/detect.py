"""Models that search for pairs as detectors: an image in, scored pairs out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from relforge.data.relations import RelationData
from relforge.data.transforms import load_image
from relforge.data.views import View
from relforge.evaluation.overlap import plain
from relforge.evaluation.pairs import Pairs, join
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.checkpoint import Loaded
from relforge.models.detections import Detections
from relforge.models.zoo import family

PERSON = "person"
"""The subject of every pair of a model without subject classes (human-object interactions)."""


@dataclass(frozen=True)
class DetectOptions:
    """How images are searched.

    Args:
        short_side, long_side: images are resized as in training, pixels.
        max_pairs: pairs of an image that are kept, the best by score (100 in the HICO-DET evaluation).
        max_overlap: of two pairs of one kind the worse is dropped where IoU(subjects) times the square root
            of IoU(objects) is above this (published 0.7).
        device: where the model runs.
    """

    short_side: int = 800
    long_side: int = 1333
    max_pairs: int = 100
    max_overlap: float = 0.7
    device: str = "cpu"


@torch.inference_mode()
def detect(
    loaded: Loaded,
    data: RelationData,
    predicates: Sequence[str],
    subject: str | None,
    options: DetectOptions,
) -> Pairs:
    """Search every image for pairs.

    A pair scores the sigmoid of its relation times the softmax of its object class, and of its subject
    class too unless only one is wanted (docs/method.md, "HICO-DET style detection").

    Args:
        loaded: a model whose entry in the zoo has `detections`; with open labels its classes are those it was
            trained on and those of `data`, with closed labels those it was trained on.
        data: its images; its annotation is not used.
        predicates: the relations to score.
        subject: the only subject class wanted; queries of another class are dropped. None: any.

    Raises:
        ValueError: the model finds no pairs, or has closed labels without one of the predicates.
    """
    entry = family(loaded.blueprint.kind)
    if entry.detections is None:
        raise ValueError(f"a {entry.name} model cannot search for pairs")
    labels = _labels(loaded, data, predicates)
    columns = [labels.relations.index(predicate) for predicate in predicates]
    model = loaded.model.to(options.device).eval()
    if entry.labels == "open":
        labels = model.encode_labels(labels)
    view = View(options.short_side, options.long_side)
    parts = []
    for index in range(len(data)):
        example = data[index]
        image = load_image(example, view)[None].to(options.device)
        (found,) = entry.detections(model(image, labels).layers[-1])
        pairs = _pairs(found, labels.objects, predicates, columns, subject, example.size)
        image_id = data.images["image_id"][index].as_py()
        parts.append(keep_best(replace(pairs, image=np.full(len(pairs), image_id, object)), options))
    return join(parts)


def _labels(loaded: Loaded, data: RelationData, predicates: Sequence[str]) -> Labels:
    blueprint = loaded.blueprint
    if family(blueprint.kind).labels == "open":
        classes = dict.fromkeys([*blueprint.classes, *data.categories])
        return Labels([*classes, NO_OBJECTS], list(predicates))
    if unknown := [predicate for predicate in predicates if predicate not in blueprint.relations]:
        raise ValueError(f"this {blueprint.kind} model was not trained on the relation {unknown[0]!r}")
    return Labels([*blueprint.classes, NO_OBJECTS], list(blueprint.relations))


def _pairs(
    found: Detections,
    objects: Sequence[str],
    predicates: Sequence[str],
    columns: Sequence[int],
    subject: str | None,
    size: tuple[int, int],
) -> Pairs:
    """All (query, predicate) combinations of one image of `size` (width, height)."""
    names = np.array(objects, object)
    count = len(found.object_classes)
    if found.subject_classes is None:
        subject_names = np.full(count, PERSON, object)
    else:
        subject_names = names[found.subject_classes.numpy()]
    object_names = names[found.object_classes.numpy()]
    scores = (
        found.relation_scores.numpy()[:, columns] * found.object_scores.numpy()[:, None]
    )  # Q x predicates
    if subject is None:
        scores = scores * found.subject_scores.numpy()[:, None]
        queries = np.arange(count)
    else:
        queries = np.flatnonzero(subject_names == subject)
    scale = torch.tensor([*size, *size])
    subject_boxes, object_boxes = (
        (boxes * scale).numpy() for boxes in (found.subject_boxes, found.object_boxes)
    )
    query, column = np.repeat(queries, len(predicates)), np.tile(np.arange(len(predicates)), len(queries))
    return Pairs(
        image=np.zeros(len(query), object),
        subject=subject_names[query],
        predicate=np.array(predicates, object)[column],
        object=object_names[query],
        subject_box=subject_boxes[query],
        object_box=object_boxes[query],
        score=scores[query, column].astype(float),
    )


def keep_best(pairs: Pairs, options: DetectOptions) -> Pairs:
    """The best pairs of one image by falling score, near repetitions of a kind left out."""
    pairs = pairs.take(np.argsort(-pairs.score, kind="stable")[: options.max_pairs])
    kept: list[int] = []
    kinds = pairs.kinds()
    for row, kind in enumerate(kinds):
        rivals = [other for other in kept if kinds[other] == kind]
        overlap = plain(pairs.subject_box[row], pairs.subject_box[rivals]) * np.sqrt(
            plain(pairs.object_box[row], pairs.object_box[rivals])
        )
        if not (overlap > options.max_overlap).any():
            kept.append(row)
    return pairs.take(np.array(kept, int))
