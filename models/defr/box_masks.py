"""Masks that let the class token read two boxes of the image alone (DEFR's hook-up to detection).

As released the masks do not mask: the attention layer casts them to numbers, so that every patch outside the
boxes gets +1 on its score and is preferred. `intended` is what they are for; `released` is for parity.
"""

from __future__ import annotations

import torch
from torch import Tensor

MASKS = {"intended": float("-inf"), "released": 1.0}
"""Name -> what the score of a patch outside both boxes gets."""


def outside(boxes: Tensor, patch: int, grid: int) -> Tensor:
    """Which tokens the class token must not read, P x (1 + grid * grid), the class token first.

    Args:
        boxes: P x 2 x 4 xyxy, pixels; a box is extended to whole patches.
        patch: side of a patch, pixels.
        grid: patches per side.
    """
    low = (boxes[..., :2] / patch).floor().clamp(0, grid)
    high = (boxes[..., 2:] / patch).ceil().clamp(0, grid)
    cells = torch.arange(grid, device=boxes.device)
    within = (cells >= low[..., None]) & (cells < high[..., None])  # P x 2 x (x, y) x grid
    covered = within[..., 1, :, None] & within[..., 0, None, :]  # P x 2 x rows x columns
    free = covered.any(1).flatten(1)
    return torch.cat([torch.zeros_like(free[:, :1]), ~free], 1)


def class_bias(boxes: Tensor, patch: int, grid: int, mask: str = "intended") -> Tensor:
    """What the scores of the class token's query get, P x (1 + grid * grid); arguments as `outside` has them.

    Raises:
        ValueError: an unknown mask, naming the choices.
    """
    if mask not in MASKS:
        raise ValueError(f"mask: {mask!r}; choose one of {', '.join(MASKS)}")
    hidden = outside(boxes, patch, grid)
    return torch.zeros(hidden.shape, device=boxes.device).masked_fill(hidden, MASKS[mask])
