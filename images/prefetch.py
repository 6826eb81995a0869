"""Read and decode images in threads while the model computes on earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa

from relforge.images.error import ImageError

T = TypeVar("T")


def prefetch(
    images: pa.Table, columns: tuple[str, ...], prepare: Callable[..., T], threads: int
) -> Iterator[tuple[str, T | ImageError]]:
    """Call `prepare` for every row of the `images` table; results come in table order.

    Args:
        columns: of the row, the arguments of `prepare`, in its order.
        prepare: runs in a thread. An `ImageError` that it raises is yielded, anything else is raised.
        threads: how many run at once; each is at most four images ahead of the consumer.

    Yields:
        (image_id, the result, or why there is none).
    """
    rows = zip(*(images[name].to_pylist() for name in ("image_id", *columns)), strict=True)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="image")
    try:
        pending: deque[tuple[str, Future[T | ImageError]]] = deque()
        for image_id, *row in rows:
            pending.append((image_id, pool.submit(_prepare, prepare, row)))
            if len(pending) > 4 * threads:
                first_id, future = pending.popleft()
                yield first_id, future.result()
        for next_id, future in pending:
            yield next_id, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(prepare: Callable[..., T], row: list[Any]) -> T | ImageError:
    try:
        return prepare(*row)
    except ImageError as error:
        return error
