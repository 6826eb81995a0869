"""Models that search for pairs as detectors: an image in, scored pairs out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from relforge.data.relations import RelationData
from relforge.data.transforms import load_image
from relforge.data.views import View
from relforge.evaluation.overlap import plain
from relforge.evaluation.pairs import Pairs, join
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.published_names import is_unnamed
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import Loaded
from relforge.models.detections import Detections
from relforge.models.gpu import exact_arithmetic
from relforge.models.published import load_pretrained
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
            of IoU(objects) is above this (published 0.7); None: none is.
        device: where the model runs.
        classes: object labels of a model with open labels; None: those it was trained on and those of the
            data. Published evaluations give the benchmark's own.
        interactions: the (predicate, object class) that may score; others score 0 before the cut, as
            published masks have them. None: all.
        every_query: the subject that is wanted is that of every query, whatever its own class: for models
            that were fine-tuned without subject classes, and as published evaluations of them have it.
    """

    short_side: int = 800
    long_side: int = 1333
    max_pairs: int = 100
    max_overlap: float | None = 0.7
    device: str = "cpu"
    classes: Sequence[str] | None = None
    interactions: Collection[tuple[str, str]] | None = None
    every_query: bool = False


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
        loaded: a model whose entry in the zoo has `detections`.
        data: its images; its annotation is not used.
        predicates: the relations to score.
        subject: the only subject class wanted; queries of another class are dropped, unless
            `options.every_query`. None: any.

    Raises:
        ValueError: the model finds no pairs, or has closed labels without one of the predicates.
    """
    labels = _labels(loaded, options.classes or data.categories, predicates, options.classes is not None)
    columns = [labels.relations.index(predicate) for predicate in predicates]
    allowed = None
    if options.interactions is not None:
        listed = set(options.interactions)
        classes = labels.objects[:-1]
        allowed = np.array([[(one, name) in listed for one in predicates] for name in classes], float)
    parts = []
    for index, found in search(loaded, data, labels, options):
        named = subject if options.every_query else None
        pairs = _pairs(found, labels.objects, predicates, columns, subject, data[index].size, allowed, named)
        image_id = data.images["image_id"][index].as_py()
        parts.append(keep_best(replace(pairs, image=np.full(len(pairs), image_id, object)), options))
    return join(parts)


def search(
    loaded: Loaded, data: RelationData, labels: Labels, options: DetectOptions
) -> Iterator[tuple[int, Detections]]:
    """What a model finds in every image, before any cut.

    Args:
        labels: what it is asked for; of a model with closed labels, its own.

    Raises:
        ValueError: the model finds no pairs.
    """
    entry = family(loaded.blueprint.kind)
    if entry.detections is None:
        raise ValueError(f"a {entry.name} model cannot search for pairs")
    model = loaded.model.to(options.device).eval()
    view = View(options.short_side, options.long_side)
    if entry.labels == "open":
        with torch.inference_mode():
            labels = model.encode_labels(labels)
    for index in range(len(data)):
        image = load_image(data[index], view)[None].to(options.device)
        with (
            torch.inference_mode(),
            exact_arithmetic(torch.float32),
        ):  # not around the yield, where it would hold for the caller too
            (found,) = entry.detections(model(image, labels).layers[-1])
        yield index, found


def load_detector(target: str, kind: str | None) -> Loaded:
    """The model in a folder or in a `.pth` of its authors.

    Args:
        kind: `package.module:NAME` of a family that is none of the zoo's.

    Raises:
        ValueError: the folder or file is damaged, or its model is of another kind.
    """
    loaded = load_pretrained(target, trusted=kind)
    if kind not in (None, loaded.blueprint.kind):
        raise ValueError(f"kind: {target} is a {loaded.blueprint.kind} model, not {kind!r}")
    return loaded


def _labels(loaded: Loaded, classes: Sequence[str], predicates: Sequence[str], only: bool) -> Labels:
    blueprint = loaded.blueprint
    entry = family(blueprint.kind)
    if entry.detections is None:
        raise ValueError(f"a {entry.name} model cannot search for pairs")
    if entry.labels == "open":
        names = dict.fromkeys(classes if only else [*blueprint.classes, *classes])
        return Labels([*names, NO_OBJECTS], list(predicates))
    labels = closed_labels(blueprint, classes, predicates)
    if unknown := [predicate for predicate in predicates if predicate not in labels.relations]:
        raise ValueError(f"this {blueprint.kind} model was not trained on the relation {unknown[0]!r}")
    return labels


def closed_labels(blueprint: Blueprint, classes: Sequence[str], predicates: Sequence[str]) -> Labels:
    """The labels of a model that has a head for each; of a file of its authors, which does not name them,
    those of a benchmark in the benchmark's order.

    Args:
        classes, predicates: of the benchmark.

    Raises:
        ValueError: a file without names has other numbers of labels.
    """
    if not (is_unnamed(blueprint.classes) and is_unnamed(blueprint.relations)):
        return Labels([*blueprint.classes, NO_OBJECTS], list(blueprint.relations))
    counts = (len(blueprint.classes), len(blueprint.relations))
    if counts != (len(classes), len(predicates)):
        raise ValueError(
            f"this {blueprint.kind} file does not name its {counts[0]} classes and {counts[1]} relations; "
            f"there are {len(classes)} and {len(predicates)} here"
        )
    return Labels([*classes, NO_OBJECTS], list(predicates))


def _pairs(
    found: Detections,
    objects: Sequence[str],
    predicates: Sequence[str],
    columns: Sequence[int],
    subject: str | None,
    size: tuple[int, int],
    allowed: np.ndarray | None = None,
    named: str | None = None,
) -> Pairs:
    """All (query, predicate) combinations of one image of `size` (width, height).

    Args:
        allowed: classes x predicates, 1 where the two may score.
        named: what every subject is called, whatever the model calls it.
    """
    names = np.array(objects, object)
    count = len(found.object_classes)
    if named is not None or found.subject_classes is None:
        subject_names = np.full(count, named or PERSON, object)
    else:
        subject_names = names[found.subject_classes.numpy()]
    object_names = names[found.object_classes.numpy()]
    scores = (
        found.relation_scores.numpy()[:, columns] * found.object_scores.numpy()[:, None]
    )  # Q x predicates
    if allowed is not None:
        scores = scores * allowed[found.object_classes.numpy()]
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
    parts = (
        found.subject_scores.numpy()[query],
        found.relation_scores.numpy()[:, columns][query, column],
        found.object_scores.numpy()[query],
    )
    return Pairs(
        image=np.zeros(len(query), object),
        subject=subject_names[query],
        predicate=np.array(predicates, object)[column],
        object=object_names[query],
        subject_box=subject_boxes[query],
        object_box=object_boxes[query],
        score=scores[query, column].astype(float),
        parts=np.stack(parts, 1).astype(float),
    )


def keep_best(pairs: Pairs, options: DetectOptions) -> Pairs:
    """The best pairs of one image by falling score, near repetitions of a kind left out."""
    pairs = pairs.take(np.argsort(-pairs.score, kind="stable")[: options.max_pairs])
    if options.max_overlap is None:
        return pairs
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
