"""Calibration: how far scores agree with the precision of what has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bin:
    """Rows that score in [low, high); the last bin includes 1.

    Args:
        rows: how many.
        score: their mean score.
        precision: share of them in the gold.
    """

    low: float
    high: float
    rows: int
    score: float
    precision: float


def calibration(score: np.ndarray, right: np.ndarray, bins: int = 10) -> list[Bin]:
    """Equal bins of the score; empty ones are left out.

    Args:
        score: N, within 0 and 1.
        right: N, whether the row is in the gold.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip((score.astype(np.float64) * bins).astype(np.int64), 0, bins - 1)
    return [
        Bin(
            round(float(edges[b]), 6),
            round(float(edges[b + 1]), 6),
            int(inside.sum()),
            float(score[inside].mean()),
            float(right[inside].mean()),
        )
        for b in range(bins)
        if (inside := place == b).any()
    ]


def expected_error(found: list[Bin]) -> float:
    """Expected calibration error: mean distance of score and precision, weighted by rows."""
    rows = sum(one.rows for one in found)
    return sum(one.rows * abs(one.score - one.precision) for one in found) / rows if rows else 0.0
