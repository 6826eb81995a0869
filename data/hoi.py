"""Human-object interaction data: images with boxes, and who does what with which box."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

import numpy as np

from relforge.stages.ingest.values import is_number

NO_OBJECT = -1
"""In place of the object's box where an action has none (V-COCO)."""

MISSING = "missing objects"
"""The class that stands for no object, after COCO's 80, as RLIPv2 words it."""


@dataclass(frozen=True)
class HoiImage:
    """One image as its file has it.

    Args:
        file_name: as in the file.
        boxes: n x 4 xyxy, pixels; not clipped.
        classes: n codes into `HoiData.objects`.
        interactions: m x 3 (row of the subject's box, row of the object's box or `NO_OBJECT`, verb code).
        size: (width, height) in pixels, where the file has it.
        labels: object codes that the image is labelled with although no box of theirs is visible.
        hidden: (verb code, object code) of interactions that the image is labelled with although no box of
            them is visible (`anno_bbox.mat`).
        broken: a row named a box that is not there; published training leaves the image out.
        labelled: n, whether anybody labelled what the person in the box does (V-COCO); None: the file does
            not say.
        crowd: n, whether the box is around a group; None: none is.
        identity: id of the image in its data set; None: the file name alone identifies it.
    """

    file_name: str
    boxes: np.ndarray
    classes: np.ndarray
    interactions: np.ndarray
    size: tuple[int, int] | None = None
    labels: tuple[int, ...] = ()
    hidden: tuple[tuple[int, int], ...] = ()
    broken: bool = False
    labelled: np.ndarray | None = None
    crowd: np.ndarray | None = None
    identity: str | None = None


@dataclass(frozen=True)
class HoiData:
    """A split.

    Args:
        images: with and without interactions.
        objects, verbs: names by code.
        reasons: what was left out while reading, reason -> how many.
    """

    images: list[HoiImage]
    objects: Sequence[str]
    verbs: Sequence[str]
    reasons: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Written:
    """What a format was written from.

    Args:
        data: as it was written, with the names and rows that the format has.
        left_out: what it cannot hold, reason -> how many; zeros included.
    """

    data: HoiData
    left_out: Counter[str]


def drop_rows_without_object(data: HoiData) -> tuple[HoiData, Counter[str]]:
    """Only the rows with an object, and how many had none (`row_without_object`)."""
    images = [
        replace(one, interactions=one.interactions[one.interactions[:, 1] != NO_OBJECT])
        for one in data.images
    ]
    count = sum(len(one.interactions) for one in data.images) - sum(len(one.interactions) for one in images)
    return replace(data, images=images), Counter(row_without_object=count)


def is_box(sides: object) -> TypeGuard[list[float]]:
    """Whether a value of a file is a list of four finite numbers."""
    return (
        isinstance(sides, list)
        and len(sides) == 4
        and all(is_number(side) and math.isfinite(side) for side in sides)
    )
