"""Sine encodings of pixels and of anchor boxes, and the reference points of encoder queries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from relforge.models.kept_tensors import KeptTensors

TEMPERATURE = 10_000.0


def _waves(position: Tensor, channels: int) -> Tensor:
    """Alternating sines and cosines (..., channels) of angles (...), frequencies falling geometrically."""
    index = torch.arange(channels, dtype=torch.float32, device=position.device)
    frequency = TEMPERATURE ** (2 * torch.div(index, 2, rounding_mode="floor") / channels)
    angle = position[..., None] / frequency
    return torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], -1).flatten(-2)


def pixel_encoding(padding: Tensor, dim: int, *, centred: bool = False) -> Tensor:
    """DETR's sine encoding of pixel positions, y half first.

    Positions count valid pixels from 1 and are scaled to 2 pi by the last one. The code of RLIP and RLIPv2
    does not shift to pixel centres, and its weights depend on that; Deformable DETR does.

    Args:
        padding: B x H x W, True where the image is padded.
        dim: width of the encoding.
        centred: count from 1/2, the centre of the first pixel.

    Returns:
        B x dim x H x W.
    """
    valid = (~padding).to(torch.float32)
    y, x = valid.cumsum(1), valid.cumsum(2)
    shift = 0.5 if centred else 0.0
    y = (y - shift) / (y[:, -1:, :] + 1e-6) * (2 * math.pi)
    x = (x - shift) / (x[:, :, -1:] + 1e-6) * (2 * math.pi)
    return torch.cat([_waves(y, dim // 2), _waves(x, dim // 2)], -1).permute(0, 3, 1, 2)


def anchor_encoding(boxes: Tensor, dim: int) -> Tensor:
    """DAB-DETR's sine encoding of centre-size boxes.

    Args:
        boxes: (..., 4) cx, cy, w, h in [0, 1].
        dim: width of the model; each coordinate gets `dim / 2` channels.

    Returns:
        (..., 2 * dim) in the order y, x, w, h.
    """
    x, y, w, h = (_waves(boxes[..., i] * (2 * math.pi), dim // 2) for i in range(4))
    return torch.cat([y, x, w, h], -1)


def encoder_reference_points(shapes: Sequence[tuple[int, int]], valid_ratios: Tensor) -> Tensor:
    """Pixel centres of every level, in the coordinates of every level (Deformable DETR).

    Args:
        shapes: (height, width) of each level.
        valid_ratios: B x L x 2, the (x, y) share of each level that is not padding.

    Returns:
        B x S x L x 2, S the number of pixels of all levels.
    """
    grids = _pixel_centres(tuple((int(height), int(width)) for height, width in shapes), valid_ratios.device)
    # B x HW x 2 of each level
    points = [grid / (valid_ratios[:, None, level] * size) for level, (grid, size) in enumerate(grids)]
    return torch.cat(points, 1)[:, :, None] * valid_ratios[:, None]


def _pixel_centres(
    shapes: tuple[tuple[int, int], ...], device: torch.device
) -> tuple[tuple[Tensor, Tensor], ...]:
    """Pixel centres 1 x HW x 2 of each level in pixels, and its (width, height)."""
    with torch.inference_mode(False):  # they outlive the caller's mode
        return _kept_pixel_centres(shapes, device)


@partial(KeptTensors, max_kept=64)
def _kept_pixel_centres(
    shapes: tuple[tuple[int, int], ...], device: torch.device
) -> tuple[tuple[Tensor, Tensor], ...]:
    """Kept, so that nothing is copied from the host to a GPU for a size that was there before."""
    grids = []
    for height, width in shapes:
        y = torch.linspace(0.5, height - 0.5, height, device=device)
        x = torch.linspace(0.5, width - 0.5, width, device=device)
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1).reshape(1, -1, 2)
        grids.append((grid, torch.tensor([width, height], dtype=torch.float32, device=device)))
    return tuple(grids)
