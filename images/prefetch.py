"""Work on pictures in threads, while the model works on earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa

from relforge.images.error import ImageError

T = TypeVar("T")


def ahead(
    images: pa.Table, columns: tuple[str, ...], work: Callable[..., T], threads: int
) -> Iterator[tuple[str, T | ImageError]]:
    """`work` on every row of the `images` table, answers in table order.

    Args:
        columns: what `work` takes of a row, in its order.
        work: runs in a thread; a `ImageError` of its is handed over, anything else is raised.
        threads: at work at once, each up to four pictures ahead.

    Yields:
        (image_id, the answer, or why there is none).
    """
    rows = zip(*(images[name].to_pylist() for name in ("image_id", *columns)), strict=True)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="picture")
    try:
        begun: deque[tuple[str, Future[T | ImageError]]] = deque()
        for image_id, *row in rows:
            begun.append((image_id, pool.submit(_attempt, work, row)))
            if len(begun) > 4 * threads:
                done, future = begun.popleft()
                yield done, future.result()
        for done, future in begun:
            yield done, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(work: Callable[..., T], row: list[Any]) -> T | ImageError:
    try:
        return work(*row)
    except ImageError as error:
        return error
