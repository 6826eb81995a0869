"""What published training and testing make of a HICO-style image (CDN, QPIC, RLIPv2), before augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relforge.data.hoi import NO_OBJECT, HoiImage


@dataclass(frozen=True)
class HoiTarget:
    """Training target of an image.

    Args:
        boxes: n x 4 xyxy, pixels, within the image; empty ones are left out.
        classes: n codes.
        pairs: p x 2 rows of `boxes` (subject, object or `NO_OBJECT`), in order of first appearance.
        verbs: p x V, every verb of the pair.
    """

    boxes: np.ndarray
    classes: np.ndarray
    pairs: np.ndarray
    verbs: np.ndarray


def training_target(
    image: HoiImage, size: tuple[int, int], verbs: int, max_boxes: int | None = None
) -> HoiTarget | None:
    """The target of an image; None where published training leaves the image out (`HoiImage.broken`).

    Args:
        size: (width, height), pixels.
        verbs: how many there are.
        max_boxes: only this many boxes, the first, count: the model's queries.
    """
    if image.broken:
        return None
    width, height = size
    boxes = np.clip(image.boxes[:max_boxes], 0, [width, height, width, height])
    kept = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    place = {int(row): number for number, row in enumerate(kept)}
    place[NO_OBJECT] = NO_OBJECT
    pairs: dict[tuple[int, int], np.ndarray] = {}
    for subject, object_, verb in image.interactions.tolist():
        if subject in place and object_ in place:
            row = pairs.setdefault((place[subject], place[object_]), np.zeros(verbs, np.float32))
            row[verb] = 1
    return HoiTarget(
        boxes[kept],
        image.classes[:max_boxes][kept],
        np.array(list(pairs), np.int64).reshape(-1, 2),
        np.array(list(pairs.values()), np.float32).reshape(-1, verbs),
    )
