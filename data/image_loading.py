"""Images for models that label them as a whole: a square whose aspect ratio is given up, as published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relforge.data.image_labels import ImageLabels
from relforge.images import decode, read
from relforge.images.resize import resize
from relforge.models.image_recogniser import ImageRecogniser


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
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in model.statistics)
    return (torch.stack(list(images)).to(device).float() / 255 - mean) / std


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
