"""Which parts of an image are captioned apart: its people, and people with what is near them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relforge.stages.class_names import class_key

KINDS = ("none", "people", "pairs")
PEOPLE = frozenset({"person", "man", "woman", "boy", "girl", "child"})
"""Classes of people, as `class_key` has them."""
_LARGER = 1.5
_NEAREST = 5
_MOST = 12


@dataclass(frozen=True)
class Region:
    """Args:
    kind: `person` or `pair`.
    boxes: box id of the person and, of a pair, of the other.
    xywh: pixels of the image, inside it.
    """

    kind: str
    boxes: tuple[int, ...]
    xywh: tuple[float, float, float, float]

    def crop(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The region of H x W x 3 pixels, at least one of them."""
        x, y, w, h = self.xywh
        top, left = int(y), int(x)
        bottom, right = max(top + 1, int(np.ceil(y + h))), max(left + 1, int(np.ceil(x + w)))
        return np.ascontiguousarray(pixels[top:bottom, left:right])


def choose_regions(kind: str, boxes: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> list[Region]:
    """The regions of one image, at most 12.

    Args:
        kind: `people`: every person, enlarged by a half; `pairs`: also each person with each of its five
            nearest other boxes.
        boxes: rows of the `boxes` table, in the order of their ids.
        size: width and height, pixels.
    """
    people = [box for box in boxes if class_key(box["category"]) in PEOPLE and not box["iscrowd"]]
    found = [Region("person", (box["box_id"],), _within(_enlarge(_xyxy(box)), size)) for box in people]
    if kind == "pairs":
        for person in people:
            others = [box for box in boxes if box["box_id"] != person["box_id"] and not box["iscrowd"]]
            others.sort(key=lambda box: (_distance(person, box), box["box_id"]))
            for other in others[:_NEAREST]:
                first, second = _xyxy(person), _xyxy(other)
                union = np.concatenate([np.minimum(first, second)[:2], np.maximum(first, second)[2:]])
                ends = (person["box_id"], other["box_id"])
                found.append(Region("pair", ends, _within(union, size)))
    return found[:_MOST]


def _xyxy(box: Mapping[str, Any]) -> NDArray[np.float64]:
    return np.array([box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]])


def _enlarge(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    centre, half = (xyxy[:2] + xyxy[2:]) / 2, (xyxy[2:] - xyxy[:2]) / 2
    return np.concatenate([centre - half * _LARGER, centre + half * _LARGER])


def _within(xyxy: NDArray[np.float64], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """xywh inside the image, at least a pixel large."""
    limit = np.array(size, float)
    low = np.clip(xyxy[:2], 0, limit - 1)
    high = np.clip(xyxy[2:], low + 1, limit)
    x, y, w, h = np.concatenate([low, high - low]).tolist()
    return x, y, w, h


def _distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    a, b = _xyxy(one), _xyxy(other)
    return float(np.linalg.norm((a[:2] + a[2:]) - (b[:2] + b[2:])))
