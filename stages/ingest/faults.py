"""Which images and boxes cannot be used, and why."""

from __future__ import annotations

import numpy as np

from relforge.stages.ingest.ids import NONE, IdSet

IMAGE_REASONS: dict[str, str] = {
    "malformed_image": "the record has no usable id",
    "bad_image_size": "width or height is missing, no positive number, or given twice and differently",
    "bad_file_name": "the file name is no text that a file can have",
    "path_outside_images": "the file name leaves the folder `dataset.images`; `dataset.follow_links: true` "
    "would read it",
    "duplicate_image_id": "an earlier usable image, of this file or of an earlier split, has the same id",
}
"""Reason codes of images, in the order they are tested: the first that applies is reported. Where image
files are read, those of `ImageError` come after them."""

BOX_REASONS: dict[str, str] = {
    "malformed_annotation": "a field is missing, of the wrong type or out of range",
    "duplicate_annotation_id": "an earlier annotation has the same id",
    "unknown_category": "the category id is not in the file's category list, or has no readable name there",
    "nonfinite_box": "a coordinate is NaN or infinite",
    "negative_size_box": "width or height is negative",
    "zero_area_box": "width or height is zero",
    "outside_image_box": "the box does not touch the image",
    "duplicate_box_id": "an earlier usable box of the image has the same box_id",
}
"""Reason codes of boxes, in the order they are tested."""


def find_image_faults(
    codes: np.ndarray, sizes: np.ndarray, unreadable: np.ndarray, outside: np.ndarray, seen: IdSet
) -> np.ndarray:
    """The fault of each image: an index into `IMAGE_REASONS`, or -1 for a usable image.

    Of several records with one id the first that passes the other tests is the usable one.

    Args:
        codes: N int64, id codes.
        sizes: N x 2, width and height in pixels; 0 where the record gives none.
        unreadable: N bool, whether the file name is none.
        outside: N bool, whether the file name leaves the images folder.
        seen: ids of usable images of earlier files.
    """
    tests = [codes == NONE, (sizes <= 0).any(axis=1), unreadable, outside]
    return _first_that_applies([*tests, seen.has(codes) | _repeat(codes, ~np.any(tests, axis=0))])


def find_box_faults(
    xywh: np.ndarray,
    size: np.ndarray,
    malformed: np.ndarray,
    duplicate: np.ndarray,
    known_category: np.ndarray,
    place: np.ndarray,
) -> np.ndarray:
    """The fault of each box: an index into `BOX_REASONS`, or -1 for a usable box.

    Boxes that reach partly outside are kept as annotated: clamping is left to their readers.

    Args:
        xywh: N x 4 float, pixels, top-left corner and size.
        size: N x 2, width and height of each box's image in pixels.
        malformed, duplicate, known_category: N bool.
        place: N int64, equal for two boxes where both their image and their box_id are.
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
    return _first_that_applies([*tests, _repeat(place, ~np.any(tests, axis=0))])


def _repeat(keys: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each key whether an earlier one of those in `among` (N bool) equals it."""
    chosen = np.flatnonzero(among)
    repeats = among.copy()
    repeats[chosen[np.unique(keys[chosen], return_index=True)[1]]] = False
    return repeats


def _first_that_applies(tests: list[np.ndarray]) -> np.ndarray:
    return np.where(np.any(tests, axis=0), np.argmax(tests, axis=0), -1)
