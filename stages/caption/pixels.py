"""The pictures of a shard as a captioner sees them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from torch import Tensor

from relforge.images import ImageError, decode, read
from relforge.images.prefetch import ahead
from relforge.images.resize import resize


def pictures(
    images: pa.Table, size: int | None, threads: int = 2
) -> Iterator[tuple[str, Tensor | ImageError]]:
    """Every image of a shard, in table order.

    Args:
        images: rows of the `images` table.
        size: pixels of the square they are squashed to, aspect ratio given up as BLIP's own transform does;
            None: as they are.
        threads: decoders at work; each holds a picture ahead or two.

    Yields:
        (image_id, 3 x H x W uint8 tensor, or why there is none).
    """

    def prepare(uri: str | None, embedded: bytes | None) -> Tensor:
        pixels = decode(read(uri, embedded))
        height, width = (size, size) if size else pixels.shape[:2]
        return resize(pixels, height, width, "bicubic")

    return ahead(images, ("uri", "bytes"), prepare, threads)
