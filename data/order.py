"""Which examples each step gets: a function of (seed, step, rank) alone, so that resuming is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np

T = TypeVar("T")

BLOCK = 64
"""Steps whose examples are sorted by aspect ratio together: the more, the more alike those of a batch are."""
_OF_IMAGES = 1
"""Keeps the random numbers of images apart from those of batches."""


class Order:
    """A shuffle per epoch, dealt out in whole batches; the rest of an epoch's shuffle is left out.

    Args:
        count: examples.
        size: of a batch, per process.
        seed: of the run.
        rank, world_size: this process among how many; they share each epoch's shuffle.
        aspects: width / height of every example, where those of a batch are to be alike: blocks of `BLOCK`
            steps of the shuffle are sorted by it, and the steps are shuffled again. None: a plain shuffle.

    Raises:
        ValueError: too few examples for one batch on every process.
    """

    def __init__(
        self,
        count: int,
        size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        aspects: np.ndarray | None = None,
    ) -> None:
        if count < size * world_size:
            raise ValueError(f"{count} images do not fill a batch of {size} on {world_size} processes")
        self._count, self._size, self._seed = count, size, seed
        self._rank, self._world_size, self._aspects = rank, world_size, aspects
        # an epoch's shuffle is made once: threads ask for the batches of one epoch, or of two around its end
        self._shuffle = lru_cache(maxsize=2)(self._make_shuffle)

    @property
    def by_aspect(self) -> bool:
        """Whether the examples of a batch are alike in their aspect ratios."""
        return self._aspects is not None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch."""
        return self._count // (self._size * self._world_size)

    def examples(self, step: int) -> np.ndarray:
        """Indices of the examples of that step's batch."""
        epoch, within = divmod(step, self.steps_per_epoch)
        first = (within * self._world_size + self._rank) * self._size
        return self._shuffle(epoch)[first : first + self._size]

    def _make_shuffle(self, epoch: int) -> np.ndarray:
        """Indices of the examples in the order of that epoch."""
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(self._count)
        if self._aspects is None:
            return order
        of_step = self._size * self._world_size
        whole = order[: self.steps_per_epoch * of_step]
        for first in range(0, len(whole), BLOCK * of_step):
            block = whole[first : first + BLOCK * of_step]
            block[:] = block[np.argsort(self._aspects[block], kind="stable")]
        steps = whole.reshape(-1, of_step)
        rng.shuffle(steps)
        return steps.reshape(-1)

    def random_generator(self, step: int) -> np.random.Generator:
        """Source of the random numbers of that step's batch."""
        return np.random.default_rng([self._seed, step, self._rank])

    def image_generator(self, step: int, example: int) -> np.random.Generator:
        """Source of the random numbers of that example in that step, whatever else is in its batch."""
        return np.random.default_rng([self._seed, step, example, _OF_IMAGES])


def compute_ahead(make: Callable[[int], T], start: int, threads: int) -> Iterator[T]:
    """`make(start)`, `make(start + 1)`, ...; the next ones are computed while one is used."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[T]] = [pool.submit(make, start + i) for i in range(threads + 1)]
        step = start + len(waiting)
        while True:
            yield waiting.pop(0).result()
            waiting.append(pool.submit(make, step))
            step += 1
