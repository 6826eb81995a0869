"""Overlap of boxes under the conventions of published evaluators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Overlap = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""xyxy boxes (..., 4) that broadcast -> intersection over union (...)."""


def plain(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Coordinates are edges; 0 where both boxes are empty (pocket, torchvision)."""
    shared, areas, _ = _parts(one, other, 0.0)
    union = areas - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)


def pixels(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Coordinates are the first and last pixel, so sides are one longer (PASCAL VOC, HICO-DET, V-COCO)."""
    shared, areas, _ = _parts(one, other, 1.0)
    return shared / (areas - shared)


def pixels_inside(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """As `pixels`, but boxes that only touch do not overlap (CDN, QPIC, RLIPv2)."""
    shared, areas, touching = _parts(one, other, 1.0)
    return np.where(touching, 0.0, shared / (areas - shared))


def pixels_guarded(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """As `pixels`, with 1e-6 added to the union and nothing for empty boxes (GGNet, PPDM)."""
    shared, areas, _ = _parts(one, other, 1.0)
    empty = np.zeros(shared.shape, bool)
    for box in (one, other):
        empty |= (box[..., 2] <= box[..., 0]) | (box[..., 3] <= box[..., 1])
    return np.where(empty, 0.0, shared / (areas - shared + 1e-6))


def _parts(one: np.ndarray, other: np.ndarray, extra: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intersection, sum of both areas, and whether the intersection is empty before `extra` is added."""
    width = np.minimum(one[..., 2], other[..., 2]) - np.maximum(one[..., 0], other[..., 0])
    height = np.minimum(one[..., 3], other[..., 3]) - np.maximum(one[..., 1], other[..., 1])
    touching = (width <= 0) | (height <= 0)
    shared = np.maximum(width + extra, 0) * np.maximum(height + extra, 0)
    return shared, _area(one, extra) + _area(other, extra), touching


def _area(box: np.ndarray, extra: float) -> np.ndarray:
    return (box[..., 2] - box[..., 0] + extra) * (box[..., 3] - box[..., 1] + extra)
