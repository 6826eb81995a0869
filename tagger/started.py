"""Batches that are being computed, and how their scores find back to the candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relforge.models.gpu import ReadBack
from relforge.tagger.packing import Pair
from relforge.tagger.request import Failure, Request, Result


class Started(Protocol):
    """A batch, or half of one, that is being computed."""

    batch: list[Request]

    def results(self) -> list[Result | Failure]:
        """One per image, in order; waits for the GPU."""


class Failed:
    """An image that does not fit into memory."""

    def __init__(self, failure: Failure) -> None:
        self.batch: list[Request] = []
        self.failure = failure

    def results(self) -> list[Result | Failure]:
        return [self.failure]


@dataclass(frozen=True)
class Call:
    """A decoder call: its first decoder batch, decoder batches of each image, queries and texts of each, and
    images, of which those behind the batch's only fill it up."""

    first: int
    count: int
    queries: int
    texts: int
    images: int


class Computed:
    """Scores on their way to the host.

    Args:
        batch: the images.
        scores: of each image.
        calls: of the decoder.
        values: of every call, one after the other: relation scores, then subject and object scores.
    """

    def __init__(
        self, batch: list[Request], scores: list[Scores], calls: list[Call], values: ReadBack
    ) -> None:
        self.batch, self.scores, self.calls, self.values = batch, scores, calls, values

    def results(self) -> list[Result | Failure]:
        values, start = self.values.wait().numpy(), 0
        for call in self.calls:
            rows = call.images * call.count
            parts = []
            for shape in ((rows, call.queries, call.texts), (rows, call.queries), (rows, call.queries)):
                end = start + int(np.prod(shape))
                parts.append(values[start:end].reshape(shape))
                start = end
            for i, own in enumerate(self.scores):
                part = slice(i * call.count, (i + 1) * call.count)
                own.collect(call.first, *(values[part] for values in parts))
        return [own.result() for own in self.scores]


class Scores:
    """Collects the scores of one image's candidates from the decoder batches that hold their pairs."""

    def __init__(self, request: Request, columns: dict[str, int], pairs: list[list[Pair]]) -> None:
        self.image_id = request.image_id
        position = {
            pair: (number, query) for number, batch in enumerate(pairs) for query, pair in enumerate(batch)
        }
        self.positions = np.array(
            [(*position[(s, o)], columns[text]) for s, o, text in request.candidates], dtype=np.int64
        ).reshape(-1, 3)  # candidate x (decoder batch, query, text)
        self.scores = np.full((3, len(self.positions)), np.nan, dtype=np.float32)

    def collect(self, first: int, relation: np.ndarray, subject: np.ndarray, object_: np.ndarray) -> None:
        """Take scores of decoder batches `first`, `first + 1`, ...

        Args:
            relation: decoder batch x query x text.
            subject, object_: decoder batch x query.
        """
        number, query, column = self.positions.T
        present = (number >= first) & (number < first + len(relation))
        index = (number[present] - first, query[present])
        self.scores[:, present] = relation[(*index, column[present])], subject[index], object_[index]

    def result(self) -> Result | Failure:
        if not np.isfinite(self.scores).all():
            count = int((~np.isfinite(self.scores[0])).sum())
            return Failure(
                self.image_id, "not_finite", f"{count} of {len(self.positions)} scores are NaN or infinite"
            )
        return Result(self.image_id, *self.scores)
