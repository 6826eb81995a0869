"""The overlap prior: a relation is more likely between boxes that touch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def read_xywh(boxes: pa.Table) -> np.ndarray:
    """x, y, w, h of every row.

    Returns:
        float64 array, rows x 4, pixels.
    """
    return np.stack([boxes[name].to_numpy() for name in ("x", "y", "w", "h")], axis=1)


def do_overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether boxes overlap, row by row; touching edges do not count (published strict test).

    Args:
        first, second: N x 4, x y w h, the same unit.

    Returns:
        bool array of N: 2 |dcx| < w1 + w2, and the same for y.
    """
    centre = np.abs((first[:, :2] + first[:, 2:] / 2) - (second[:, :2] + second[:, 2:] / 2))
    return np.all(2 * centre < first[:, 2:] + second[:, 2:], axis=1)
