"""Pictures for training: decoded, perhaps mirrored, resized, normalised, padded together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from relforge.data.relations import Example
from relforge.images import decode, read
from relforge.images.detection_resize import DetectionResize, normalise_imagenet

_MIRRORED = {"left": "right", "right": "left"}


def load_picture(example: Example, short: int, longest: int, mirror: bool) -> Tensor:
    """One normalised image, 3 x H x W, resized as the tag stage resizes it: shorter side `short` pixels,
    longer side at most `longest`."""
    pixels = decode(read(example.uri, example.data), example.size)
    if mirror:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    return normalise_imagenet(DetectionResize(short, longest)(pixels))


def stack(pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """B x 3 x H x W, zero-padded, and the padding mask B x H x W (True = padded), None when none is."""
    height, width = (max(p.shape[side] for p in pictures) for side in (1, 2))
    images = torch.zeros(len(pictures), 3, height, width)
    padding = torch.ones(len(pictures), height, width, dtype=torch.bool)
    for row, picture in enumerate(pictures):
        images[row, :, : picture.shape[1], : picture.shape[2]] = picture
        padding[row, : picture.shape[1], : picture.shape[2]] = False
    return images, padding if bool(padding.any()) else None


def mirrored_predicate(predicate: str) -> str:
    """What a relation is called in the mirror: "to the left of" becomes "to the right of"."""
    return " ".join(_MIRRORED.get(word, word) for word in predicate.split())
