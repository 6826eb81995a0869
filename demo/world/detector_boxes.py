"""Boxes as a detector gives them: moved, missed, found twice, with scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from relforge.demo.world.render import Box

MISSED, TWICE = 0.2, 0.2
"""Share of the things that are not found, and of those found that are found twice."""
_MOVED = 0.08
"""How far every edge is off: a normal draw in shares of the side; twice that where a thing is found again."""
_LEAST = 1.0
"""Least side, pixels."""


class FoundBox(NamedTuple):
    """One box.

    Args:
        thing: index of the thing that it shows.
        box: x, y, w, h, pixels.
        score: of a detector, in [0, 1]; None: the box is annotated.
    """

    thing: int
    box: Box
    score: float | None = None


def detect(boxes: Sequence[Box], size: tuple[int, int], rng: np.random.Generator) -> list[FoundBox]:
    """What a detector finds of the things of one image; of a thing found twice the surer box comes first.

    Args:
        boxes: of the things.
        size: (width, height) of the image, pixels.
        rng: source of every random choice.
    """
    found = []
    for thing, box in enumerate(boxes):
        # every thing takes as many draws, so that one does not change the next
        missed, twice = rng.random(2)
        edges, luck = rng.standard_normal((2, 4)), rng.random(2)
        if missed < MISSED:
            continue
        both = [_move(thing, box, size, edges[0] * _MOVED, luck[0])]
        if twice < TWICE:
            both.append(_move(thing, box, size, edges[1] * 2 * _MOVED, luck[1]))
        found += sorted(both, key=lambda one: -(one.score or 0.0))
    return found


def _move(thing: int, box: Box, size: tuple[int, int], edges: np.ndarray, luck: float) -> FoundBox:
    """A box with its left, top, right and bottom edge off by shares of its sides."""
    x, y, w, h = box
    corners = np.array([x, y, x + w, y + h]) + edges * (w, h, w, h)
    left, right = sorted(float(edge) for edge in np.clip(corners[[0, 2]], 0, size[0]))
    top, bottom = sorted(float(edge) for edge in np.clip(corners[[1, 3]], 0, size[1]))
    left, top = min(left, size[0] - _LEAST), min(top, size[1] - _LEAST)
    sides = left, top, max(right - left, _LEAST), max(bottom - top, _LEAST)
    # a detector is surer of the boxes that fit
    score = float(np.clip(1 - 2 * np.abs(edges).mean() - 0.4 * luck, 0.05, 1.0))
    return FoundBox(thing, tuple(round(side, 1) for side in sides), round(score, 3))  # type: ignore[arg-type]
