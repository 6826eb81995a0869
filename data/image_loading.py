"""Images for models that label them as a whole: a square whose aspect ratio is given up, as published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relforge.data.image_labels import ImageLabels
from relforge.images import decode, read
from relforge.images.resize import resize
from relforge.models.image_recogniser import ImageRecogniser

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation per channel."""


def read_pixels(data: ImageLabels, index: int) -> NDArray[np.uint8]:
    """H x W x 3 of one image.

    Raises:
        ImageError: it cannot be read or decoded.
    """
    return decode(read(data.uris[index], data.embedded[index]))


def load_square(data: ImageLabels, index: int, side: int) -> Tensor:
    """One image, 3 x side x side uint8.

    Raises:
        ImageError: it cannot be read or decoded.
    """
    return resize(read_pixels(data, index), side, side, "bicubic")


def normalise_for(images: Sequence[Tensor], model: ImageRecogniser, device: torch.device | str) -> Tensor:
    """B x 3 x S x S of uint8 squares, as the model wants them."""
    return normalise_squares(torch.stack(list(images)).to(device), model.statistics)


def normalise_squares(pixels: Tensor, statistics: Statistics) -> Tensor:
    """B x 3 x S x S uint8 as float32 by mean and deviation per channel, on the same device."""
    mean, std = _on_device(statistics, pixels.device)
    return (pixels.contiguous().float() / 255 - mean) / std


@cache
def _on_device(statistics: Statistics, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation, each 3 x 1 x 1; kept, so that no batch waits for a copy to its GPU."""
    with torch.inference_mode(False):
        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in statistics)
    return mean, std


def stack_squares(images: Sequence[Tensor], *, pinned: bool = False) -> Tensor:
    """B x 3 x S x S uint8 of images of one size; channels innermost in memory, as the images have them.

    Args:
        pinned: in memory from which a GPU copies by itself.
    """
    height, width = images[0].shape[1:]
    batch = torch.empty(len(images), height, width, 3, dtype=torch.uint8, pin_memory=pinned)
    for row, image in zip(batch, images, strict=True):
        row.copy_(image.permute(1, 2, 0))
    return batch.permute(0, 3, 1, 2)


@torch.inference_mode()
def logits_of(model: ImageRecogniser, data: ImageLabels, batch: int, device: str = "cpu") -> Iterator[Tensor]:
    """Logits B x C of every image in order, a batch at a time.

    Args:
        model: in evaluation mode, on the device.

    Raises:
        ImageError: an image cannot be read or decoded.
    """
    for start in range(0, len(data), batch):
        rows = range(start, min(start + batch, len(data)))
        squares = [load_square(data, index, model.image_size) for index in rows]
        logits: Tensor = model(normalise_for(squares, model, device))  # type: ignore[operator]
        yield logits.float().cpu()
