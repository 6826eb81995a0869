"""Which images and boxes cannot be used, and why."""

from __future__ import annotations

import numpy as np

from relforge.stages.ingest.ids import NONE, IdSet

IMAGE_REASONS: dict[str, str] = {
    "malformed_image": "the record has no usable id",
    "duplicate_image_id": "an earlier image, of this file or of an earlier split, has the same id",
    "bad_image_size": "width or height is missing or not positive",
}
"""Reason codes of images, in the order they are tested: the first that applies is reported. Where image
files are read, those of `ImageError` come after them."""

BOX_REASONS: dict[str, str] = {
    "malformed_annotation": "a field is missing or of the wrong type",
    "duplicate_annotation_id": "an earlier annotation has the same id",
    "unknown_category": "the category id is not in the file's category list",
    "nonfinite_box": "a coordinate is NaN or infinite",
    "negative_size_box": "width or height is negative",
    "zero_area_box": "width or height is zero",
    "outside_image_box": "the box does not touch the image",
}
"""Reason codes of boxes, in the order they are tested."""


def find_image_faults(codes: np.ndarray, sizes: np.ndarray, seen: IdSet) -> np.ndarray:
    """The fault of each image: an index into `IMAGE_REASONS`, or -1 for a usable image.

    Args:
        codes: N int64, id codes.
        sizes: N x 2, width and height in pixels; 0 where the record gives none.
        seen: ids of earlier files.
    """
    first = np.zeros(len(codes), bool)
    first[np.unique(codes, return_index=True)[1]] = True
    tests = [codes == NONE, seen.has(codes) | ~first, (sizes <= 0).any(axis=1)]
    return _first_that_applies(tests)


def find_box_faults(
    xywh: np.ndarray,
    size: np.ndarray,
    malformed: np.ndarray,
    duplicate: np.ndarray,
    known_category: np.ndarray,
) -> np.ndarray:
    """The fault of each box: an index into `BOX_REASONS`, or -1 for a usable box.

    Boxes that reach partly outside are kept as annotated: clamping is up to who reads them.

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
    return _first_that_applies(tests)


def _first_that_applies(tests: list[np.ndarray]) -> np.ndarray:
    return np.where(np.any(tests, axis=0), np.argmax(tests, axis=0), -1)
