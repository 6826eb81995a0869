"""Images for training: decoded, changed as the batch shows them, normalised, padded together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from relforge.data.relations import Example
from relforge.data.views import View
from relforge.images import decode_as_annotated, read
from relforge.images.detection_resize import normalise_imagenet

_MIRRORED = {"left": "right", "right": "left"}


def load_image(example: Example, view: View) -> Tensor:
    """One normalised image, 3 x H x W, resized as the tag stage resizes it.

    Raises:
        ImageError: it cannot be read or decoded, or its size is not the annotated one.
    """
    pixels = decode_as_annotated(
        read(example.uri, example.data), example.size, example.max_pixels, example.orientation
    ).pixels
    return normalise_imagenet(view.render(pixels))


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
