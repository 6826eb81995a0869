"""Images of a batch in one tensor: as they are on a CPU, padded to few sizes and channels-last on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from relforge.images.detection_resize import normalise_imagenet
from relforge.tagger.request import Request

MULTIPLE = 64
"""Pixels that padded sides are a multiple of: 451 sizes of COCO become 28, with 6 % more pixels."""


def padded_size(request: Request) -> tuple[int, int]:
    """(height, width) of the image with both sides padded to a multiple of `MULTIPLE`: a function of the
    image alone, so its scores do not depend on which images share its batch."""
    height, width = request.pixels.shape[1:]
    return -(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE


def exact_size(request: Request) -> tuple[int, int]:
    """(height, width) of the image."""
    height, width = request.pixels.shape[1:]
    return int(height), int(width)


def stack(requests: Sequence[Request], device: torch.device) -> Tensor:
    """Images of equal size, normalised: B x 3 x H x W."""
    if device.type == "cpu":
        return _normalise(torch.stack([request.pixels for request in requests]))
    rows = stack_rows(requests, exact_size(requests[0]), pinned=device.type == "cuda")
    return _normalise(rows.to(device, non_blocking=True).permute(0, 3, 1, 2).contiguous())


def stack_rows(requests: Sequence[Request], size: tuple[int, int], *, pinned: bool = False) -> Tensor:
    """Images in the corner of a larger size: B x height x width x 3 on the host, the rest undefined.

    Decoded pixels have their channels innermost, so whole rows are copied (16 times as fast as putting
    channels first).

    Args:
        requests: images of at most `size`.
        size: (height, width).
        pinned: in memory from which a GPU copies by itself while the host goes on.
    """
    shape = (len(requests), *size, 3)
    pixels = torch.empty(shape, dtype=requests[0].pixels.dtype, pin_memory=pinned)
    for image, request in zip(pixels, requests, strict=True):
        rows = request.pixels.permute(1, 2, 0)  # H x W x 3
        image[: rows.shape[0], : rows.shape[1]] = rows
    return pixels


def normalise_padded(pixels: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Images as a model takes them; the order in memory stays, which convolutions want anyway.

    Args:
        pixels: of `stack_rows`, on the model's device.
        sizes: B x 2, (height, width) of each, on the same device.

    Returns:
        normalised images B x 3 x H x W, channels innermost in memory, 0 where padded; and the padding
        B x H x W, True where padded.
    """
    height, width = pixels.shape[1:3]
    below = torch.arange(height, device=pixels.device) >= sizes[:, :1]  # B x H
    right = torch.arange(width, device=pixels.device) >= sizes[:, 1:]
    padding = below[:, :, None] | right[:, None]
    images = _normalise(pixels.permute(0, 3, 1, 2))
    return images.masked_fill_(padding[:, None], 0.0), padding  # in place, for the order to stay


def _normalise(images: Tensor) -> Tensor:
    return normalise_imagenet(images) if images.dtype == torch.uint8 else images
