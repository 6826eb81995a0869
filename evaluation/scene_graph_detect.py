"""Models that search for pairs as scene-graph detectors: an image in, boxes and ranked relations out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from relforge.data.relations import RelationData
from relforge.data.transforms import load_image
from relforge.data.views import View
from relforge.evaluation.detect import DetectOptions
from relforge.evaluation.scene_graph_tables import Names
from relforge.evaluation.scene_graphs import SceneGraphs, starts
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.published_names import unnamed
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.checkpoint import Loaded
from relforge.models.gpu import exact_arithmetic
from relforge.models.scene_graph import GraphOptions, SceneGraph, in_pixels, scene_graph
from relforge.models.zoo import family


@torch.inference_mode()
@exact_arithmetic(torch.float32)
def detect_graphs(
    loaded: Loaded, data: RelationData, names: Names, options: DetectOptions, graph_options: GraphOptions
) -> SceneGraphs:
    """Search every image and make its scene graph, see `relforge.models.scene_graph`.

    Args:
        loaded: a model whose entry in the zoo has `detections`, with classes of subjects. With open labels it
            reads the gold's names; with closed labels its own, of which the gold may lack some. A file of the
            authors has no names: where it has as many labels as the gold, they are the gold's in order.
        data: its images; its annotation is not used.
        names: of the gold.
        options: how images are resized, and where the model runs.
        graph_options: how boxes are suppressed and relations chosen.

    Raises:
        ValueError: the model finds no pairs, has no classes of subjects, or was trained on none of the gold's
            predicates.
    """
    blueprint = loaded.blueprint
    entry = family(blueprint.kind)
    if entry.detections is None:
        raise ValueError(f"a {entry.name} model cannot search for pairs")
    model = loaded.model.to(options.device).eval()
    if entry.labels == "open":
        labels = model.encode_labels(Labels([*names.classes, NO_OBJECTS], list(names.predicates)))
    else:
        classes = _named(blueprint.classes, "class", names.classes)
        relations = _named(blueprint.relations, "relation", names.predicates)
        labels = Labels([*classes, NO_OBJECTS], relations)
    predicates = names.code_predicates(np.array(labels.relations, object))
    if not (predicates >= 0).any():
        raise ValueError(f"this {blueprint.kind} model was trained on none of the gold's predicates")
    class_codes = names.code_classes(np.array(labels.objects[:-1], object))
    view = View(options.short_side, options.long_side)
    places = {image: place for place, image in enumerate(names.images)}
    found: dict[int, SceneGraph] = {}
    for index in range(len(data)):
        place = places.get(data.images["image_id"][index].as_py())
        if place is None:
            continue
        example = data[index]
        image = load_image(example, view)[None].to(options.device)
        (pairs,) = entry.detections(model(image, labels).layers[-1])
        found[place] = in_pixels(scene_graph(pairs, graph_options), example.size)
    return _join(found, class_codes, predicates, names)


def _named(labels: Sequence[str], kind: str, gold: Sequence[str]) -> list[str]:
    """The labels of a model; the gold's where they have numbers for names and are as many."""
    numbered = tuple(labels) == unnamed(kind, len(labels))
    return list(gold) if numbered and len(labels) == len(gold) else list(labels)


def _join(
    found: dict[int, SceneGraph], classes: np.ndarray, predicates: np.ndarray, names: Names
) -> SceneGraphs:
    """Scene graphs of single images as flat arrays; `classes` and `predicates` give the gold's numbers."""
    graphs = [found[place] for place in sorted(found)]
    if not graphs:
        raise ValueError("the model was given none of the gold's images")
    boxes, relations = (np.zeros(len(names.images), np.int64) for _ in range(2))
    boxes[sorted(found)] = [len(one.boxes) for one in graphs]
    relations[sorted(found)] = [len(one.pairs) for one in graphs]
    box_start = starts(boxes)
    offsets = np.repeat(box_start[sorted(found)], relations[sorted(found)])
    probabilities = np.concatenate([one.probabilities.numpy() for one in graphs])
    of_gold = np.zeros((len(probabilities), len(names.predicates)), np.float32)
    of_gold[:, predicates[predicates >= 0]] = probabilities[:, predicates >= 0]
    return SceneGraphs(
        box_start=box_start,
        boxes=np.concatenate([one.boxes.numpy() for one in graphs]).astype(np.float32),
        labels=classes[np.concatenate([one.classes.numpy() for one in graphs])],
        relation_start=starts(relations),
        pairs=np.concatenate([one.pairs.numpy() for one in graphs]) + offsets[:, None],
        predicates=predicates[np.concatenate([one.predicates.numpy() for one in graphs])],
        box_scores=np.concatenate([one.scores.numpy() for one in graphs]),
        probabilities=of_gold,
    )
