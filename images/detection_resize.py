"""The input of every detection network, when labelling, training and evaluating: one size, one kernel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relforge.images.resize import resize

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DetectionResize:
    """DETR's resize: the aspect ratio stays, the shorter side gets `short_side` pixels, or fewer where the
    longer one would exceed `long_side`.

    Sizes are those of DETR's `get_size_with_aspect_ratio`: a shorter side that `long_side` limits is rounded,
    the longer side is truncated. Pixels are Pillow's bilinear ones, as torchvision's on PIL images.
    """

    short_side: int = 800
    long_side: int = 1333

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after resizing, both in pixels and at least 1."""
        shorter, longer = min(height, width), max(height, width)
        side = self.short_side
        if longer / shorter * side > self.long_side:
            side = round(self.long_side * shorter / longer)
        # a strip so thin that its shorter side rounds to nothing keeps one pixel of it
        side, other = (side, int(side * longer / shorter)) if side else (1, self.long_side)
        return (side, other) if height <= width else (other, side)

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """H x W x 3 uint8 -> 3 x height x width uint8."""
        return resize(pixels, *self.size(*pixels.shape[:2]), "bilinear")


def normalise_imagenet(images: Tensor) -> Tensor:
    """... x 3 x H x W uint8 to float32 with ImageNet's mean and deviation, on the same device."""
    mean, std = imagenet_statistics(images.device)
    return (images.float() / 255 - mean) / std


@cache
def imagenet_statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation, each 3 x 1 x 1; kept, so that no batch waits for a copy to its GPU."""
    import torch

    with torch.inference_mode(False):
        mean, std = (
            torch.tensor(values, device=device)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
    return mean, std
