"""Which part of an image a view shows, how large, and where boxes lie in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

COORDINATES = ("none", "relative1000", "pixels")
"""How models read a box in words: not at all, 0 to 1000 of width and height (Qwen3-VL, All-Seeing), or
pixels of the image as it is sent (Qwen2.5-VL)."""

XYWH = tuple[float, float, float, float]
Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """A rectangle of an image and the size at which it is shown.

    Args:
        left, top, right, bottom: rows and columns of the stored image, the latter two exclusive.
        width, height: of the view, pixels.
        scale: stored pixels per annotated pixel.
    """

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int
    scale: float

    def place(self, box: XYWH) -> Corners:
        """Corners x1, y1, x2, y2 of a box in pixels of the view, cut to it.

        Args:
            box: x, y, w, h in annotated pixels.
        """
        across = self.width / (self.right - self.left)
        down = self.height / (self.bottom - self.top)
        x, y, w, h = (side * self.scale for side in box)
        x1, x2 = ((at - self.left) * across for at in (x, x + w))
        y1, y2 = ((at - self.top) * down for at in (y, y + h))
        return (
            min(max(x1, 0.0), self.width),
            min(max(y1, 0.0), self.height),
            min(max(x2, 0.0), self.width),
            min(max(y2, 0.0), self.height),
        )

    def cover(self, box: XYWH) -> tuple[slice, slice]:
        """Rows and columns of the view that a box touches, one of each at least.

        Args:
            box: x, y, w, h in annotated pixels.
        """
        x1, y1, x2, y2 = self.place(box)
        left, top = min(int(x1), self.width - 1), min(int(y1), self.height - 1)
        return slice(top, max(top + 1, math.ceil(y2))), slice(left, max(left + 1, math.ceil(x2)))

    def write(self, box: XYWH, coordinates: str) -> str:
        """A box in words, `[x1,y1,x2,y2]` with corners as the model reads them; empty with `none`.

        Args:
            box: x, y, w, h in annotated pixels.
            coordinates: one of `COORDINATES`.
        """
        if coordinates == "none":
            return ""
        x1, y1, x2, y2 = self.place(box)
        if coordinates == "relative1000":
            x1, x2 = (1000 * x / self.width for x in (x1, x2))
            y1, y2 = (1000 * y / self.height for y in (y1, y2))
        return "[" + ",".join(str(round(at)) for at in (x1, y1, x2, y2)) + "]"


def whole_image(stored: tuple[int, int], annotated: tuple[int, int], pixels: int) -> Frame:
    """The frame of the whole image.

    Args:
        stored, annotated: (width, height) of the image file and of the annotation.
        pixels: longest side of the view; smaller images are not enlarged.
    """
    return _fit(0, 0, *stored, stored[0] / annotated[0], pixels)


def around(
    boxes: Sequence[XYWH], margin: float, stored: tuple[int, int], annotated: tuple[int, int], pixels: int
) -> Frame:
    """The frame of the smallest rectangle around boxes, with a margin.

    Args:
        boxes: x, y, w, h in annotated pixels; at least one.
        margin: share of the rectangle's width and height that is added on each side.
        stored, annotated, pixels: see `whole_image`.
    """
    scale = stored[0] / annotated[0]
    x1, y1 = min(box[0] for box in boxes), min(box[1] for box in boxes)
    x2, y2 = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    across, down = margin * (x2 - x1), margin * (y2 - y1)
    left = min(max(math.floor((x1 - across) * scale), 0), stored[0] - 1)
    top = min(max(math.floor((y1 - down) * scale), 0), stored[1] - 1)
    right = max(left + 1, min(math.ceil((x2 + across) * scale), stored[0]))
    bottom = max(top + 1, min(math.ceil((y2 + down) * scale), stored[1]))
    return _fit(left, top, right, bottom, scale, pixels)


def _fit(left: int, top: int, right: int, bottom: int, scale: float, pixels: int) -> Frame:
    """A rectangle shown with at most `pixels` on the longer side."""
    width, height = right - left, bottom - top
    longest = max(width, height)
    if longest > pixels:
        width, height = (max(1, round(side * pixels / longest)) for side in (width, height))
    return Frame(left, top, right, bottom, width, height, scale)
