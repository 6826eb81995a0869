"""Images of a batch in one tensor: as they are on a CPU, padded to few sizes and channels-last on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from relforge.images.detection_resize import normalise_imagenet
from relforge.models.gpu import upload
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
    return _normalise(torch.stack([request.pixels for request in requests]).to(device))


def stack_padded(
    requests: Sequence[Request], size: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Images in the corner of a larger size.

    Decoded pixels have their channels innermost, so whole rows are copied (16 times as fast as putting
    channels first), into pinned memory that goes to the GPU while the host goes on; there the order stays,
    which convolutions want anyway.

    Args:
        requests: images of at most `size`.
        size: (height, width).

    Returns:
        normalised images B x 3 x H x W, channels innermost in memory, 0 where padded; and the padding
        B x H x W, True where padded.
    """
    height, width = size
    shape = (len(requests), height, width, 3)
    pixels = torch.empty(shape, dtype=requests[0].pixels.dtype, pin_memory=device.type == "cuda")
    for image, request in zip(pixels, requests, strict=True):
        rows = request.pixels.permute(1, 2, 0)  # H x W x 3
        image[: rows.shape[0], : rows.shape[1]] = rows
    (sizes,) = upload(device, torch.tensor([exact_size(request) for request in requests]))
    images = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
    below = torch.arange(height, device=device) >= sizes[:, :1]  # B x H
    right = torch.arange(width, device=device) >= sizes[:, 1:]
    padding = below[:, :, None] | right[:, None]
    return _normalise(images).masked_fill_(padding[:, None], 0.0), padding


def _normalise(images: Tensor) -> Tensor:
    return normalise_imagenet(images) if images.dtype == torch.uint8 else images
