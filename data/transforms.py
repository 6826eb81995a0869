"""Images for training: decoded, perhaps mirrored, resized, normalised, padded together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from relforge.data.relations import Example
from relforge.images import decode_as_annotated, read
from relforge.images.detection_resize import DetectionResize, normalise_imagenet

_MIRRORED = {"left": "right", "right": "left"}


def load_image(example: Example, short_side: int, long_side: int, mirror: bool) -> Tensor:
    """One normalised image, 3 x H x W, resized as the tag stage resizes it.

    Args:
        short_side: length of the shorter side, pixels.
        long_side: upper bound of the longer side, pixels.
        mirror: exchange left and right.

    Raises:
        ImageError: it cannot be read or decoded, or its size is not the annotated one.
    """
    pixels = decode_as_annotated(
        read(example.uri, example.data), example.size, example.max_pixels, example.orientation
    ).pixels
    if mirror:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    return normalise_imagenet(DetectionResize(short_side, long_side)(pixels))


def pad_together(images: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """B x 3 x H x W, zero-padded, and the padding mask B x H x W (True = padded), None when none is."""
    height, width = (max(image.shape[side] for image in images) for side in (1, 2))
    batch = torch.zeros(len(images), 3, height, width)
    padding = torch.ones(len(images), height, width, dtype=torch.bool)
    for row, image in enumerate(images):
        batch[row, :, : image.shape[1], : image.shape[2]] = image
        padding[row, : image.shape[1], : image.shape[2]] = False
    return batch, padding if bool(padding.any()) else None


def mirror_predicate(predicate: str) -> str:
    """The relation in the mirrored image: "to the left of" becomes "to the right of"."""
    return " ".join(_MIRRORED.get(word, word) for word in predicate.split())
