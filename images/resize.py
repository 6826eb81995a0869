"""Antialiased resizing in 8 bits with Pillow's values."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from relforge.images.resample import resample

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def resize(
    pixels: NDArray[np.uint8], height: int, width: int, filter: Literal["bilinear", "bicubic"]
) -> Tensor:
    """Resize to exactly height x width pixels, whatever the aspect ratio.

    The result stays uint8: writing floats costs more than the resize itself, so normalise on the device
    (`normalise`).

    Args:
        pixels: H x W x 3 uint8, as `decode` gives.
        filter: `bicubic` for the captioner (BLIP), `bilinear` for the tagger.

    Returns:
        3 x height x width uint8 tensor (channels innermost in memory).
    """
    rows, columns = pixels.shape[:2]
    if (height, width) != (rows, columns):
        # each pass rounds and clips, so their order changes values by up to ten levels: this is Pillow 13's,
        # horizontal first unless the vertical pass drops over twice as many rows as the other drops columns
        vertical_first = height < rows and rows - height > 2 * (columns - width)
        pixels = resample(pixels, height, width, filter, vertical_first=vertical_first)
    import torch

    return torch.from_numpy(pixels).permute(2, 0, 1)


def normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(pixels / 255 - mean) / std per channel: ... x 3 x H x W uint8 to float32 on the same device."""
    scale, shift = _scale_and_shift(mean, std, pixels.device)
    return pixels.contiguous().float().mul_(scale).add_(shift)


@cache
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Three scalars per channel as one factor and one summand, each C x 1 x 1; kept, so that no batch waits
    for a copy to its GPU."""
    import torch

    with torch.inference_mode(False):
        scale = torch.tensor([1 / (255 * s) for s in std], device=device)[:, None, None]
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device)
    return scale, shift[:, None, None]
