"""Boxes that a model found, on the boxes that are there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PERSON = "person"
"""The subject of every pair of a model without subject classes (human-object interactions)."""


def fit_boxes(
    found: np.ndarray, classes: np.ndarray, xywh: np.ndarray, names: Sequence[str], min_overlap: float
) -> np.ndarray:
    """The box that each one found is: of its class, and the one that it overlaps most.

    Args:
        found: Q x 4 xyxy in [0, 1].
        classes: Q names.
        xywh: N x 4 in [0, 1], the boxes that are there.
        names: their classes, in the words of `classes`.
        min_overlap: intersection over union at least.

    Returns:
        Q rows of `xywh`, -1 where none fits.
    """
    there = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)  # N x 4 xyxy
    low = np.maximum(found[:, None, :2], there[None, :, :2])
    high = np.minimum(found[:, None, 2:], there[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)  # Q x N
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1) for boxes in (found, there)]
    overlap = shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-12)
    overlap[classes[:, None] != np.array(names, object)[None]] = 0.0
    best = overlap.argmax(1)
    fits = np.take_along_axis(overlap, best[:, None], 1)[:, 0] >= min_overlap
    return np.where(fits, best, -1)
