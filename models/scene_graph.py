"""Detected pairs as a scene graph: boxes without repetitions, and relations between them (Iterative SGG)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from relforge.models.blocks.boxes import iou
from relforge.models.detections import Detections


@dataclass(frozen=True)
class GraphOptions:
    """How boxes are suppressed and relations chosen.

    Args:
        max_overlap: of two boxes of a class the worse is dropped where their IoU is above this (published
            0.5). None: all are kept.
        by_class: boxes of different classes are left alone, as published.
        predicates: relations of each query, its likeliest ones; published 1.

    Raises:
        ValueError: a number out of range.
    """

    max_overlap: float | None = 0.5
    by_class: bool = True
    predicates: int = 1

    def __post_init__(self) -> None:
        if self.max_overlap is not None and not 0 <= self.max_overlap <= 1:
            raise ValueError(f"max_overlap is {self.max_overlap}; an IoU is between 0 and 1")
        if self.predicates < 1:
            raise ValueError(f"predicates is {self.predicates}; a query has 1 relation at least")


@dataclass
class SceneGraph:
    """The scene graph of one image: K boxes, the best first, and m relations, the best first.

    Args:
        boxes: K x 4 xyxy, in [0, 1] and not clipped, or pixels (`in_pixels`).
        classes, scores: K, of the boxes.
        pairs: m x 2 rows of `boxes`, subject and object; a box may be both.
        predicates: m.
        relation_scores: m, the product of the query's three probabilities (not of the boxes').
        probabilities: m x R of the query's predicates.
        queries: m rows of the detections.
    """

    boxes: Tensor
    classes: Tensor
    scores: Tensor
    pairs: Tensor
    predicates: Tensor
    relation_scores: Tensor
    probabilities: Tensor
    queries: Tensor


def scene_graph(found: Detections, options: GraphOptions = GraphOptions()) -> SceneGraph:
    """The boxes of all subjects and objects without repetitions; every relation between the boxes that its
    ends overlap best, each once.

    Args:
        found: in an image; subjects need classes.
        options: of suppression.

    Raises:
        ValueError: the model has no subject classes.
    """
    if found.subject_classes is None:
        raise ValueError("a scene graph needs classes of subjects; this model has none")
    boxes = torch.cat([found.subject_boxes, found.object_boxes])
    classes = torch.cat([found.subject_classes, found.object_classes])
    scores = torch.cat([found.subject_scores, found.object_scores])
    kept = _kept(boxes, classes, scores, options)

    chosen = options.predicates
    probability, predicate = found.relation_scores.topk(min(chosen, found.relation_scores.shape[1]))
    score = (found.subject_scores[:, None] * probability * found.object_scores[:, None]).flatten()
    query = torch.arange(len(found.object_classes)).repeat_interleave(predicate.shape[1])
    best = snap(boxes, classes, kept, by_class=options.by_class)
    ends = torch.stack(best.chunk(2), 1)[query]
    rows = torch.cat([ends, predicate.flatten()[:, None]], 1).numpy()

    order = np.argsort(-score.numpy(), kind="stable")
    _, first = np.unique(rows[order], axis=0, return_index=True)
    order = torch.from_numpy(order[np.sort(first)])
    return SceneGraph(
        boxes=boxes[kept],
        classes=classes[kept],
        scores=scores[kept],
        pairs=ends[order],
        predicates=predicate.flatten()[order],
        relation_scores=score[order],
        probabilities=found.relation_scores[query[order]],
        queries=query[order],
    )


def in_pixels(graph: SceneGraph, size: tuple[int, int]) -> SceneGraph:
    """The same in pixels of an image of `size` (width, height): boxes are clipped, and those that lie outside
    are dropped with their relations.

    The published code keeps the relations of dropped boxes and does not renumber the others.
    """
    width, height = size
    limit = torch.tensor([width, height, width, height])
    boxes = (graph.boxes * limit).clamp(min=0).minimum(limit.float())
    there = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    place = there.cumsum(0) - 1
    valid = there[graph.pairs].all(1)
    kept = replace(graph, boxes=boxes[there], classes=graph.classes[there], scores=graph.scores[there])
    return replace(
        kept,
        pairs=place[graph.pairs[valid]],
        predicates=graph.predicates[valid],
        relation_scores=graph.relation_scores[valid],
        probabilities=graph.probabilities[valid],
        queries=graph.queries[valid],
    )


def _kept(boxes: Tensor, classes: Tensor, scores: Tensor, options: GraphOptions) -> Tensor:
    """Rows of the boxes that stay, the best first."""
    order = torch.from_numpy(np.argsort(-scores.numpy(), kind="stable"))
    if options.max_overlap is None:
        return order
    group = classes if options.by_class else torch.zeros_like(classes)
    kept = torch.ones(len(order), dtype=torch.bool)
    for one in group.unique():
        members = torch.nonzero(group[order] == one).flatten()  # places in the order
        ours = boxes[order[members]]
        kept[members] = _greedy(iou(ours[:, None], ours), options.max_overlap)
    return order[kept]


def _greedy(overlaps: Tensor, limit: float) -> Tensor:
    """Which of n boxes stay, the first one first, by their n x n IoUs."""
    rivals = (overlaps > limit).numpy()
    kept = np.ones(len(rivals), bool)
    for row in range(len(rivals)):
        if kept[row]:
            kept[row + 1 :] &= ~rivals[row, row + 1 :]
    return torch.from_numpy(kept)


def snap(boxes: Tensor, classes: Tensor, kept: Tensor, *, by_class: bool = True) -> Tensor:
    """For every box the place in `kept` of the one that it overlaps best, the first of equal ones.

    Args:
        boxes, classes: n x 4 xyxy and n.
        kept: rows of the boxes that are kept.
        by_class: only those of its class.
    """
    overlaps = iou(boxes[:, None], boxes[kept])
    if by_class:
        overlaps = overlaps.masked_fill(classes[:, None] != classes[kept], -1)
    return torch.from_numpy(overlaps.numpy().argmax(1))
