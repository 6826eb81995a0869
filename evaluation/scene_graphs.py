"""Scene graphs of many images as flat arrays: boxes with classes, and ranked relations between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np


class Scores(Protocol):
    """r x P scores of every predicate of r relations: an array, or what makes one of a stretch of rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, part: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class SceneGraphs:
    """n images, annotated or predicted. Relations of an image are in rank order, the best first.

    Args:
        box_start: n + 1 rows; the boxes of image i are `box_start[i]` to `box_start[i + 1]`.
        boxes: b x 4 xyxy float32, pixels of the original image.
        labels: b class codes; -1: a class that the gold does not know.
        relation_start: n + 1 rows.
        pairs: r x 2 (subject, object), rows of `boxes`.
        predicates: r codes; -1: a predicate that the gold does not know.
        box_scores: b; None where boxes are given.
        probabilities: r x P score of every predicate; None where each relation is one predicate.
    """

    box_start: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    relation_start: np.ndarray
    pairs: np.ndarray
    predicates: np.ndarray
    box_scores: np.ndarray | None = None
    probabilities: Scores | None = None

    def __len__(self) -> int:
        return len(self.box_start) - 1

    @property
    def images(self) -> np.ndarray:
        """Image of every relation."""
        return np.repeat(np.arange(len(self)), np.diff(self.relation_start))

    @property
    def box_images(self) -> np.ndarray:
        """Image of every box."""
        return np.repeat(np.arange(len(self)), np.diff(self.box_start))

    def triplets(self) -> np.ndarray:
        """r x 3 (subject class, predicate, object class)."""
        ends = self.labels[self.pairs]
        return np.stack([ends[:, 0], self.predicates, ends[:, 1]], 1)

    def pair_scores(self) -> np.ndarray:
        """r products of both boxes' scores; ones where boxes are given."""
        if self.box_scores is None:
            return np.ones(len(self.pairs), np.float32)
        product: np.ndarray = self.box_scores[self.pairs].prod(1)
        return product


@dataclass(frozen=True)
class Predicted:
    """Predictions of the images of a gold.

    Args:
        graphs: one for every image; an image may have none.
        mode: `sgdet`; `sgcls`, where boxes are given, or `predcls`, where boxes and classes are.
    """

    graphs: SceneGraphs
    mode: str


def given(found: SceneGraphs, gold: SceneGraphs, labels: bool) -> SceneGraphs:
    """Predictions of a model that was given the annotated boxes, so that places of boxes are the same.

    Args:
        labels: whether it was given the classes too (PredCls); else they are its own (SGCls).

    Raises:
        ValueError: an image has another number of boxes than are annotated.
    """
    with_boxes = np.diff(found.box_start) > 0
    wrong = np.flatnonzero(with_boxes & (np.diff(found.box_start) != np.diff(gold.box_start)))
    if len(wrong):
        image = int(wrong[0])
        raise ValueError(
            f"{np.diff(found.box_start)[image]} boxes are predicted for an image with "
            f"{np.diff(gold.box_start)[image]} annotated ones; where boxes are given (sgcls, predcls), "
            "predictions have one box per annotated box, in its place"
        )
    # an image without predictions has no boxes of its own either
    image_of = found.images
    rows = found.pairs + (gold.box_start - found.box_start)[image_of][:, None]
    classes, scores = gold.labels, None
    if not labels:
        place = np.flatnonzero(with_boxes[gold.box_images])
        classes = np.full(len(gold.labels), -1, np.int64)
        classes[place] = found.labels
        if found.box_scores is not None:
            scores = np.zeros(len(gold.labels), found.box_scores.dtype)
            scores[place] = found.box_scores
    return replace(
        found, box_start=gold.box_start, boxes=gold.boxes, labels=classes, pairs=rows, box_scores=scores
    )


def starts(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Where each image's rows begin, and the end: n + 1."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
