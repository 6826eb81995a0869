"""The pictures of a shard, decoded and resized in threads while the model works on earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
from torch import Tensor

from relforge.stages.pictures import PictureError, decode, read
from relforge.stages.pictures.resize import resize


def pictures(
    images: pa.Table, size: int | None, threads: int = 2
) -> Iterator[tuple[str, Tensor | PictureError]]:
    """Every image of a shard, in table order.

    Args:
        images: rows of the `images` table.
        size: pixels of the square they are squashed to, aspect ratio given up as BLIP's own transform does;
            None: as they are.
        threads: decoders at work; each holds one picture ahead or two.

    Yields:
        (image_id, 3 x H x W uint8 tensor, or why there is none).
    """
    columns = zip(*(images[name].to_pylist() for name in ("image_id", "uri", "bytes")), strict=True)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="picture")
    try:
        ahead: deque[tuple[str, Future[Tensor]]] = deque()
        for image_id, uri, embedded in columns:
            ahead.append((image_id, pool.submit(_one, uri, embedded, size)))
            if len(ahead) > 4 * threads:
                yield _outcome(*ahead.popleft())
        while ahead:
            yield _outcome(*ahead.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _one(uri: str | None, embedded: bytes | None, size: int | None) -> Tensor:
    pixels = decode(read(uri, embedded))
    height, width = (size, size) if size else pixels.shape[:2]
    return resize(pixels, height, width, "bicubic")


def _outcome(image_id: str, future: Future[Tensor]) -> tuple[str, Tensor | PictureError]:
    try:
        return image_id, future.result()
    except PictureError as error:
        return image_id, error
