"""Pictures of equal size, gathered into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relforge.tagger.question import Question


def buckets(questions: Iterable[Question], size: int, waiting: int) -> Iterator[list[Question]]:
    """Batches of pictures of exactly equal height and width, each as soon as it is full.

    Args:
        questions: in any order.
        size: pictures of a full batch.
        waiting: most pictures held back; beyond it the fullest bucket goes out as it is.
    """
    held: dict[tuple[int, ...], list[Question]] = {}
    count = 0
    for question in questions:
        bucket = held.setdefault(tuple(question.pixels.shape), [])
        bucket.append(question)
        count += 1
        if len(bucket) >= size or count > waiting:
            fullest = max(held, key=lambda shape: len(held[shape]))
            batch = held.pop(fullest)
            count -= len(batch)
            yield batch
    yield from held.values()
