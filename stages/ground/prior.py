"""What a pair prior is, for the one stage around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from relforge.stages.ground.pairs import Alternatives


class PairPrior(Protocol):
    """How likely a claim means each of its pairs. Its constructor takes options and loads nothing."""

    version: int
    """Raise it when the same candidates would get another prior."""

    @property
    def default_floor(self) -> float:
        """Pairs below it are dropped, where the config gives no `floor`; asked for after `load`."""
        ...

    def files(self) -> Sequence[str]:
        """Paths of the files that decide the prior; callable before `load`.

        Raises:
            ValueError: one is missing.
        """
        ...

    def load(self) -> None:
        """Called once per worker, before `score`."""
        ...

    def score(self, pairs: Alternatives) -> np.ndarray | None:
        """A probability for every pair, float; None: the prior knows nothing."""
        ...
