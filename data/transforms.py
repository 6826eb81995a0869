"""Images for training: decoded, changed as the batch shows them, padded together, normalised."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from relforge.data.relations import Example
from relforge.data.views import View
from relforge.images import decode_as_annotated, read
from relforge.images.detection_resize import imagenet_statistics, normalise_imagenet
from relforge.models.gpu import upload

_MIRRORED = {"left": "right", "right": "left"}


def load_image(example: Example, view: View) -> Tensor:
    """One normalised image, 3 x H x W; see `load_pixels`."""
    return normalise_imagenet(load_pixels(example, view))


def load_pixels(example: Example, view: View) -> Tensor:
    """One image, 3 x H x W uint8, resized as the tag stage resizes it.

    Raises:
        ImageError: it cannot be read or decoded, or its size is not the annotated one.
    """
    pixels = decode_as_annotated(
        read(example.uri, example.data), example.size, example.max_pixels, example.orientation
    ).pixels
    return view.render(pixels)


def pad_together(images: Sequence[Tensor], *, pinned: bool = False) -> Tensor:
    """B x 3 x H x W uint8, padded with zeros, from 3 x H_i x W_i; channels innermost in memory, as the images
    have them.

    Args:
        pinned: in memory from which a GPU copies by itself.
    """
    height, width = (max(image.shape[side] for image in images) for side in (1, 2))
    batch = torch.zeros(len(images), height, width, 3, dtype=torch.uint8, pin_memory=pinned)
    for row, image in enumerate(images):
        batch[row, : image.shape[1], : image.shape[2]] = image.permute(1, 2, 0)
    return batch.permute(0, 3, 1, 2)


def normalise_together(pixels: Tensor, sizes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor | None]:
    """Images B x 3 x H x W with zeros where padded, and the padding mask B x H x W (True = padded), None when
    none is; on the device of the pixels.

    Args:
        pixels: of `pad_together`.
        sizes: (height, width) of each image.
    """
    # `normalise_imagenet` in place: on a CPU most of its time goes to memory that is new
    images = pixels.to(torch.float32, memory_format=torch.contiguous_format)
    mean, std = imagenet_statistics(images.device)
    images.div_(255).sub_(mean).div_(std)
    height, width = pixels.shape[2:]
    if all(size == (height, width) for size in sizes):
        return images, None
    (there,) = upload(pixels.device, torch.tensor(sizes))
    heights, widths = there.unbind(1)
    rows, columns = (torch.arange(side, device=pixels.device) for side in (height, width))
    padding = (rows >= heights[:, None])[:, :, None] | (columns >= widths[:, None])[:, None]
    return images.masked_fill_(padding[:, None], 0), padding


def mirror_predicate(predicate: str) -> str:
    """The relation in the mirrored image: "to the left of" becomes "to the right of"."""
    return " ".join(_MIRRORED.get(word, word) for word in predicate.split())
