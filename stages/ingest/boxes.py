"""Which boxes can be used, and why the others cannot."""

from __future__ import annotations

import numpy as np

REASONS: dict[str, str] = {
    "malformed_annotation": "a field is missing or of the wrong type",
    "duplicate_annotation_id": "an earlier annotation of the file has the same id",
    "unknown_category": "the category id is not in the file's category list",
    "nonfinite_box": "a coordinate is NaN or infinite",
    "negative_size_box": "width or height is negative",
    "zero_area_box": "width or height is zero",
    "outside_image_box": "the box does not touch the image",
}
"""Reason codes of boxes, in the order they are tested: the first that applies is reported."""


def box_faults(
    xywh: np.ndarray,
    size: np.ndarray,
    malformed: np.ndarray,
    duplicate: np.ndarray,
    known_category: np.ndarray,
) -> np.ndarray:
    """The fault of each box: an index into `REASONS`, or -1 for a usable box.

    Boxes that reach partly outside are kept as annotated: clamping is the reader's business.

    Args:
        xywh: N x 4 float, pixels, top-left corner and size.
        size: N x 2, width and height of each box's image in pixels.
        malformed, duplicate, known_category: N bool.
    """
    x, y, w, h = xywh = np.ascontiguousarray(xywh.T)
    with np.errstate(invalid="ignore"):
        tests = [
            malformed,
            duplicate,
            ~known_category,
            ~np.isfinite(xywh).all(axis=0),
            (w < 0) | (h < 0),
            (w == 0) | (h == 0),
            (x >= size[:, 0]) | (y >= size[:, 1]) | (x + w <= 0) | (y + h <= 0),
        ]
    return np.where(np.any(tests, axis=0), np.argmax(tests, axis=0), -1)
