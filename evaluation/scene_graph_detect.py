"""Models that search for pairs as scene-graph detectors: an image in, ranked relations out."""

from __future__ import annotations

import numpy as np
import torch

from relforge.data.relations import RelationData
from relforge.data.transforms import load_image
from relforge.data.views import View
from relforge.evaluation.detect import PERSON, DetectOptions
from relforge.evaluation.scene_graph_tables import Names
from relforge.evaluation.scene_graphs import SceneGraphs, starts
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.checkpoint import Loaded
from relforge.models.detections import Detections
from relforge.models.zoo import family


@torch.inference_mode()
def detect_graphs(loaded: Loaded, data: RelationData, names: Names, options: DetectOptions) -> SceneGraphs:
    """Search every image; one relation per query, by the product of its three scores.

    Args:
        loaded: a model whose entry in the zoo has `detections`. With open labels it reads the gold's names;
            with closed labels a predicate that it was not trained on scores 0.
        data: its images; its annotation is not used.
        names: of the gold.
        options: how images are resized, and where the model runs.

    Raises:
        ValueError: the model finds no pairs, or has closed labels without any of the predicates.
    """
    blueprint = loaded.blueprint
    entry = family(blueprint.kind)
    if entry.detections is None:
        raise ValueError(f"a {entry.name} model cannot search for pairs")
    model = loaded.model.to(options.device).eval()
    if entry.labels == "open":
        classes = list(names.classes)
        labels = model.encode_labels(Labels([*classes, NO_OBJECTS], list(names.predicates)))
    else:
        classes = list(blueprint.classes)
        labels = Labels([*classes, NO_OBJECTS], list(blueprint.relations))
    columns = names.code_predicates(np.array(labels.relations, object))
    if not (columns >= 0).any():
        raise ValueError(f"this {blueprint.kind} model was trained on none of the gold's predicates")
    codes = np.append(
        names.code_classes(np.array(classes, object)), names.code_classes(np.array([PERSON], object))
    )
    view = View(options.short_side, options.long_side)
    places = {image: place for place, image in enumerate(names.images)}
    found: dict[int, Detections] = {}
    sizes: dict[int, tuple[int, int]] = {}
    for index in range(len(data)):
        place = places.get(data.images["image_id"][index].as_py())
        if place is None:
            continue
        example = data[index]
        image = load_image(example, view)[None].to(options.device)
        (found[place],) = entry.detections(model(image, labels).layers[-1])
        sizes[place] = example.size
    return _join(found, sizes, codes, columns, names)


def _join(
    found: dict[int, Detections],
    sizes: dict[int, tuple[int, int]],
    codes: np.ndarray,
    columns: np.ndarray,
    names: Names,
) -> SceneGraphs:
    """Both boxes of every query as boxes, subjects first, and one relation per query."""
    counts = np.zeros(len(names.images), np.int64)
    boxes, labels, box_scores, pairs, scores = [], [], [], [], []
    known = columns >= 0
    for place in sorted(found):
        one = found[place]
        count = counts[place] = len(one.object_classes)
        subject = (
            np.full(count, len(codes) - 1) if one.subject_classes is None else one.subject_classes.numpy()
        )
        both = np.concatenate([one.subject_boxes.numpy(), one.object_boxes.numpy()])
        boxes.append(both * np.tile(sizes[place], 2))
        labels.append(codes[np.concatenate([subject, one.object_classes.numpy()])])
        entity = one.subject_scores.numpy(), one.object_scores.numpy()
        box_scores.append(np.concatenate(entity))
        table = np.zeros((count, len(names.predicates)), np.float32)
        table[:, columns[known]] = one.relation_scores.numpy()[:, known]
        order = np.argsort(-entity[0] * entity[1] * table.max(1), kind="stable")
        offset = 2 * int(counts[:place].sum())
        pairs.append(offset + np.stack([order, order + count], 1))
        scores.append(table[order])
    if not found:
        raise ValueError("the model was given none of the gold's images")
    table = np.concatenate(scores)
    return SceneGraphs(
        box_start=starts(2 * counts),
        boxes=np.concatenate(boxes).astype(np.float32),
        labels=np.concatenate(labels),
        relation_start=starts(counts),
        pairs=np.concatenate(pairs),
        predicates=table.argmax(1),
        box_scores=np.concatenate(box_scores),
        probabilities=table,
    )
