"""What a model is shown of an image: the pair alone, the pair with the rest blurred, or numbered boxes.

What helps depends on the model: small open models answer yes and no better where the rest is hidden, and
worse where boxes are drawn; marks are for proposals by models that read them (docs/vlm.md has the evidence).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relforge.images.resample import resample
from relforge.vlm.client import View
from relforge.vlm.digits import draw_number
from relforge.vlm.frame import XYWH, Frame, around, whole_image

VIEWS = ("blur", "black", "crop", "marks", "plain")
"""`crop`: the rectangle around the boxes; `blur`: the same, all outside the boxes blurred; `black`: the same,
the image's other boxes black; `marks`: the whole image with numbered outlines; `plain`: the whole image."""

CROPPED = ("blur", "black", "crop")
VERSION = 1
"""Of the drawing: raise it when the same options would give other pixels."""

_COLOURS = (
    *((230, 25, 75), (60, 100, 230), (60, 180, 75), (245, 130, 49)),
    *((145, 30, 180), (0, 150, 160), (240, 50, 230), (128, 96, 0)),
)


def draw_view(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    boxes: Mapping[int, XYWH],
    source_hash: str,
    *,
    view: str = "blur",
    margin: float = 0.15,
    longest: int = 448,
    others: Sequence[XYWH] = (),
    orientation: str | None = None,
) -> tuple[View, Frame]:
    """Draw a view; the same arguments give the same pixels on every machine.

    Args:
        pixels: H x W x 3 uint8, the decoded image.
        size: annotated width and height, the unit of the boxes; the stored image may be larger or smaller.
        boxes: number -> x, y, w, h of what is asked about.
        source_hash: sha256 of the image file.
        view: one of `VIEWS`.
        margin: around the boxes, share of their rectangle, of the views that crop.
        longest: longest side of the view in pixels; smaller ones are not enlarged.
        others: the image's other boxes, for `black`.
        orientation: how the image was turned, see `images.decode_oriented`: part of the recipe.

    Returns:
        The view, and where boxes lie in it.

    Raises:
        ValueError: an unknown view, or a view that crops without a box.
    """
    check_view(view)
    stored = pixels.shape[1], pixels.shape[0]
    if view in CROPPED:
        if not boxes:
            raise ValueError(f"view {view} shows boxes, and there are none")
        frame = around(list(boxes.values()), margin, stored, size, longest)
    else:
        frame = whole_image(stored, size, longest)
    cut = pixels[frame.top : frame.bottom, frame.left : frame.right]
    shown = _resize(cut, frame.height, frame.width)
    if view == "blur":
        shown = _blur_outside(shown, [frame.cover(box) for box in boxes.values()])
    elif view == "black":
        _blacken(shown, [frame.cover(box) for box in boxes.values()], [frame.cover(box) for box in others])
    elif view == "marks":
        for number, box in boxes.items():
            _outline(shown, frame.cover(box), _COLOURS[number % len(_COLOURS)])
        for number, box in boxes.items():  # after all outlines, so that none crosses a number
            _label(shown, frame.cover(box), number, _COLOURS[number % len(_COLOURS)])
    recipe: dict[str, Any] = {"view": view, "size": list(size), "pixels": longest, "version": VERSION}
    if orientation is not None:
        recipe["orientation"] = orientation
    if view != "plain":
        recipe["boxes"] = [[number, *map(float, box)] for number, box in sorted(boxes.items())]
    if view in CROPPED:
        recipe["margin"] = float(margin)
    if view == "black":
        recipe["others"] = [list(map(float, box)) for box in others]
    return View(shown, source_hash, recipe), frame


def check_view(view: str) -> None:
    """Refuse an unknown view when options are read.

    Raises:
        ValueError: naming the views.
    """
    if view not in VIEWS:
        raise ValueError(f"view is {view!r}; choose one of {', '.join(VIEWS)}")


def _resize(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    if pixels.shape[:2] == (height, width):
        return pixels.copy()
    return resample(pixels, height, width, "bicubic", vertical_first=False)


def _blur_outside(pixels: NDArray[np.uint8], boxes: Sequence[tuple[slice, slice]]) -> NDArray[np.uint8]:
    """The published way: a mean filter of 20 pixels on images of 640, in that proportion here."""
    radius = max(2, round(max(pixels.shape[:2]) / 64))
    blurred = mean_filter(pixels, radius)
    for box in boxes:
        blurred[box] = pixels[box]
    return blurred


def mean_filter(pixels: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    """Mean of the square of 2 radius + 1 pixels around each, edges repeated; in integers, rounded half up.

    Args:
        pixels: H x W x 3 uint8.
    """
    side = 2 * radius + 1
    padded = np.pad(pixels.astype(np.int64), ((radius, radius), (radius, radius), (0, 0)), "edge")
    sums = np.pad(padded.cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))  # (H + 2r + 1) x (W + 2r + 1) x 3
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return ((2 * total + side * side) // (2 * side * side)).astype(np.uint8)


def _blacken(
    pixels: NDArray[np.uint8],
    boxes: Sequence[tuple[slice, slice]],
    others: Sequence[tuple[slice, slice]],
) -> None:
    """What of other boxes lies outside the pair's becomes black."""
    hidden = np.zeros(pixels.shape[:2], bool)
    for box in others:
        hidden[box] = True
    for box in boxes:
        hidden[box] = False
    pixels[hidden] = 0


def _outline(pixels: NDArray[np.uint8], box: tuple[slice, slice], colour: tuple[int, int, int]) -> None:
    thick = max(1, round(max(pixels.shape[:2]) / 224))
    inside = np.zeros(pixels.shape[:2], bool)
    rows, columns = box
    inside[rows, columns] = True
    low, high = max(0, rows.stop - thick), max(0, columns.stop - thick)
    inside[rows.start + thick : low, columns.start + thick : high] = False
    pixels[inside] = colour


def _label(
    pixels: NDArray[np.uint8], box: tuple[slice, slice], number: int, colour: tuple[int, int, int]
) -> None:
    """The number in white on the outline's colour, in the box's top left corner, moved into the image."""
    strokes = draw_number(number, scale=max(1, round(max(pixels.shape[:2]) / 224)))
    height, width = (min(a, b) for a, b in zip(strokes.shape, pixels.shape, strict=False))
    top = min(box[0].start, pixels.shape[0] - height)
    left = min(box[1].start, pixels.shape[1] - width)
    patch = pixels[top : top + height, left : left + width]
    patch[:] = colour
    patch[strokes[:height, :width]] = 255
