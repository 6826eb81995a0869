"""Pillow's resize with the order of its two passes given: which one comes first depends on its version."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

Filter = Literal["bilinear", "bicubic"]
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resize_by_passes(pixels: np.ndarray, size: tuple[int, int], filter: Filter) -> np.ndarray:
    """Resize to (height, width): rows first only to drop more than twice as many rows as columns."""
    (rows, columns), (height, width) = pixels.shape[:2], size
    rows_first = height < rows and rows - height > 2 * (columns - width)
    between = (columns, height) if rows_first else (width, rows)
    image = Image.fromarray(pixels).resize(between, RESAMPLING[filter])
    return np.asarray(image.resize((width, height), RESAMPLING[filter]))
