"""Drawing in a thing's own frame: origin at its foot, x forward, y up, its height is 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]
NamedColour = tuple[str, Colour]
"""(what captions call it, RGB); an empty name where no caption mentions it."""

SUPERSAMPLE = 3
"""Images are drawn this many times larger and scaled down, which smooths every edge."""


class Pen:
    """Draws one thing on a transparent layer.

    Args:
        size: (width, height) of the image, pixels.
        at: foot of the thing, pixels from the top left.
        unit: pixels per unit of the thing's frame.
        facing: 1 looks right, -1 left.
        turn: rotation about the foot in degrees, positive tips backwards.
    """

    def __init__(
        self, size: tuple[int, int], at: Point, unit: float, facing: int = 1, turn: float = 0.0
    ) -> None:
        self.layer = Image.new("RGBA", (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE))
        self._draw = ImageDraw.Draw(self.layer)
        self._at, self._unit, self._facing = at, unit, facing
        self._cos, self._sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def to_pixels(self, point: Point) -> Point:
        """A point of the thing's frame in image pixels."""
        x, y = point
        x, y = x * self._cos - y * self._sin, x * self._sin + y * self._cos
        return self._at[0] + self._facing * x * self._unit, self._at[1] - y * self._unit

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon with a darker edge."""
        corners = [self._to_layer(p) for p in points]
        self._draw.polygon(corners, fill=(*colour, 255))
        self._draw.line([*corners, corners[0]], fill=(*shade(colour, 0.6), 255), width=2)

    def blob(
        self, centre: Point, rx: float, ry: float | None = None, colour: Colour = (0, 0, 0), tilt: float = 0.0
    ) -> None:
        """A filled ellipse; `tilt` in degrees."""
        ry = rx if ry is None else ry
        cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
        ring = [(rx * math.cos(a), ry * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 25)[:-1]]
        self.shape([(centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos) for x, y in ring], colour)

    def stroke(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line with round ends; `width` in units of the frame."""
        corners = [self._to_layer(p) for p in points]
        thick = max(2, round(width * self._unit * SUPERSAMPLE))
        self._draw.line(corners, fill=(*colour, 255), width=thick, joint="curve")
        for x, y in corners:
            r = thick / 2
            self._draw.ellipse((x - r, y - r, x + r, y + r), fill=(*colour, 255))

    def _to_layer(self, point: Point) -> Point:
        x, y = self.to_pixels(point)
        return x * SUPERSAMPLE, y * SUPERSAMPLE


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (below 1) or lighter (above 1)."""
    red, green, blue = (int(min(255, max(0, channel * factor))) for channel in colour)
    return red, green, blue
