"""What a scorer of images and sentences is, and the client that asks it in batches of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from relforge.vlm.client import Answer, Request, View

MATCH = "match"
"""The word under which an answer holds the similarity."""
_REQUESTS = 8
"""Sentences that wait for each view of a batch, at most."""


class Scorer(Protocol):
    """A reference-free score of an image and a sentence; the constructor loads nothing.

    Every call gets `batch_size` entries, so that no entry's result depends on how many there are.
    """

    name: str
    version: int
    batch_size: int
    neutral_options: tuple[str, ...]

    def files(self) -> Sequence[str]:
        """Paths of files that decide the scores; callable before `load`."""
        ...

    def load(self) -> None:
        """Load the model; called once per worker, and not where all scores are kept already."""
        ...

    def encode_views(self, views: Sequence[NDArray[np.uint8]]) -> Sequence[Any]:
        """What `match` needs of each view, H x W x 3 pixels of any size."""
        ...

    def match(self, views: Sequence[Any], sentences: Sequence[str]) -> Sequence[float]:
        """Similarity of each encoded view and its sentence, 0 to 1."""
        ...


class ScorerClient:
    """A scorer as a client whose answers can be kept: each view is encoded once a batch.

    Args:
        scorer: what scores.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def files(self) -> Sequence[str]:
        return self._scorer.files()

    def setup(self) -> None:
        self._scorer.load()

    def notes(self) -> Mapping[str, Any]:
        return {}

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        """Answer in batches; those of one view follow one another."""
        waiting: list[Request] = []
        views: dict[str, View] = {}
        size = self._scorer.batch_size
        for request in requests:
            key = _key(request.views[0])
            if len(waiting) == size * _REQUESTS or (key not in views and len(views) == size):
                yield from self._answer(waiting, views)
                waiting, views = [], {}
            views[key] = request.views[0]
            waiting.append(request)
        if waiting:
            yield from self._answer(waiting, views)

    def _answer(
        self, requests: Sequence[Request], views: Mapping[str, View]
    ) -> Iterator[tuple[Request, Answer]]:
        size = self._scorer.batch_size
        encoded = self._scorer.encode_views(_fill([view.pixels for view in views.values()], size))
        of_view = dict(zip(views, encoded, strict=False))  # the last ones only fill the batch
        for start in range(0, len(requests), size):
            part = requests[start : start + size]
            seen = _fill([of_view[_key(one.views[0])] for one in part], size)
            found = self._scorer.match(seen, _fill([one.text for one in part], size))
            for request, similarity in zip(part, found, strict=False):
                yield request, Answer("", words={MATCH: float(similarity)}, model_reported=self._scorer.name)


def _key(view: View) -> str:
    return f"{view.source_hash} {sorted(view.recipe.items())}"


def _fill(entries: list[Any], size: int) -> list[Any]:
    """The entries, the first of them repeated until there are `size`."""
    return entries + entries[:1] * (size - len(entries))
