"""What teachers say of the training captions, by row."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Taught:
    """Probabilities by row, and how much they count.

    Args:
        probabilities: (R, classes), or (R,) of what is so or not.
        weight: share of the teachers in a target; the rest is the gold graph's.
    """

    probabilities: Tensor
    weight: float

    def mix(self, target: Tensor, rows: Tensor) -> None:
        """Move targets, in place, towards what is taught; where `rows` is -1 nothing is.

        Args:
            target: gold probabilities, one row for each of `rows`.
        """
        taught = rows >= 0
        target[taught] = target[taught].lerp(self.probabilities[rows[taught]], self.weight)


@dataclass(frozen=True)
class Lessons:
    """`Example.tag_rows`, `frame_rows` and `arc_rows` say which row is whose.

    Args:
        tags: of words.
        frames: of ordered pairs of entities.
        arcs: that an attribute belongs to an entity.
    """

    tags: Taught
    frames: Taught
    arcs: Taught
