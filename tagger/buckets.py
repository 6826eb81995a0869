"""Requests whose images have equal size, gathered into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relforge.tagger.request import Request


def batches_of_equal_size(
    requests: Iterable[Request], batch_size: int, max_waiting: int
) -> Iterator[list[Request]]:
    """Batches of images of exactly equal height and width, each as soon as it is full.

    Args:
        requests: in any order.
        batch_size: images of a full batch.
        max_waiting: images held back at most; beyond it the fullest bucket is passed on as it is.
    """
    buckets: dict[tuple[int, ...], list[Request]] = {}
    count = 0
    for request in requests:
        bucket = buckets.setdefault(tuple(request.pixels.shape), [])
        bucket.append(request)
        count += 1
        if len(bucket) >= batch_size or count > max_waiting:
            fullest = max(buckets, key=lambda shape: len(buckets[shape]))
            batch = buckets.pop(fullest)
            count -= len(batch)
            yield batch
    yield from buckets.values()
