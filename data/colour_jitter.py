"""Random brightness, contrast and saturation of training images, with Pillow's values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAMES = ("brightness", "contrast", "saturation")
_LUMA = np.array([19595, 38470, 7471], np.int64)
"""Weights of red, green and blue in Pillow's grey, in 65536ths."""


@dataclass(frozen=True)
class ColourJitter:
    """One drawn change.

    Args:
        brightness, contrast, saturation: factors; 1 changes nothing, 0 gives black, grey and grey.
        order: names of the three in the order in which they are applied.
    """

    brightness: float
    contrast: float
    saturation: float
    order: tuple[str, ...] = NAMES

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """H x W x 3 uint8, changed; each of the three rounds to whole levels."""
        for name in self.order:
            factor = np.float32(getattr(self, name))
            if name == "saturation":
                pixels = _blend(_grey(pixels)[..., None], pixels, factor)
            else:
                other = 0 if name == "brightness" else int(_grey(pixels).mean() + 0.5)
                # all pixels are mixed with one level: a table of 256 does it
                levels = np.arange(256, dtype=np.uint8)
                pixels = _blend(np.full(256, other, np.uint8), levels, factor)[pixels]
        return pixels


def draw_jitter(rng: np.random.Generator, strength: float) -> ColourJitter:
    """Three factors between 1 - strength and 1 + strength, and their order (torchvision's `ColorJitter`)."""
    order = tuple(NAMES[place] for place in rng.permutation(len(NAMES)))
    brightness, contrast, saturation = rng.uniform(max(0.0, 1 - strength), 1 + strength, len(NAMES)).tolist()
    return ColourJitter(brightness, contrast, saturation, order)


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return ((pixels @ _LUMA + 0x8000) >> 16).astype(np.uint8)


def _blend(one: NDArray[np.uint8], two: NDArray[np.uint8], share: np.float32) -> NDArray[np.uint8]:
    """`one` + share x (`two` - `one`), clipped and truncated as Pillow's `Image.blend`."""
    difference = two.astype(np.float32) - one
    return (one + share * difference).clip(0, 255).astype(np.uint8)
