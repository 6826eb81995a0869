"""Requests whose images are computed at equal size, gathered into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from relforge.tagger.request import Request


def batches_of_equal_size(
    requests: Iterable[Request],
    batch_size: int,
    max_waiting: int,
    size_of: Callable[[Request], tuple[int, int]],
) -> Iterator[list[Request]]:
    """Batches of images of exactly equal size, each as soon as it is full.

    Args:
        requests: in any order.
        batch_size: images of a full batch.
        max_waiting: images held back at most; beyond it the fullest bucket is passed on as it is.
        size_of: (height, width) that an image is computed at.
    """
    buckets: dict[tuple[int, int], list[Request]] = {}
    count = 0
    for request in requests:
        bucket = buckets.setdefault(size_of(request), [])
        bucket.append(request)
        count += 1
        if len(bucket) >= batch_size or count > max_waiting:
            fullest = max(buckets, key=lambda size: len(buckets[size]))
            batch = buckets.pop(fullest)
            count -= len(batch)
            yield batch
    yield from buckets.values()
