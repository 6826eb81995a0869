"""A prior that was learnt: from gold, or from claims alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relforge.stages.backend import Backend
from relforge.stages.ground.model import EMBEDDED, PriorModel, load_model, model_files
from relforge.stages.ground.pairs import Alternatives
from relforge.stages.ground.stage import GroundStage


class LearnedPrior:
    """A perceptron over geometry, ranks among boxes of the same classes, count words and word vectors.

    Args:
        model: folder that `relforge ground fit` wrote; by default the one that comes with relforge.

    Raises:
        ValueError: the folder lacks a file, or holds another thing.
    """

    version = 1

    def __init__(self, model: str | None = None) -> None:
        self.folder = EMBEDDED if model is None else Path(model)
        self._model: PriorModel | None = None

    @property
    def default_floor(self) -> float:
        """The floor that was chosen with the model; loads it."""
        return self._loaded().floor

    def files(self) -> Sequence[str]:
        return [str(path) for path in model_files(self.folder)]

    def load(self) -> None:
        self._loaded()

    def score(self, pairs: Alternatives) -> np.ndarray:
        """See `PairPrior`."""
        return self._loaded().score(pairs)

    def _loaded(self) -> PriorModel:
        if self._model is None:
            self._model = load_model(self.folder)
        return self._model


stage = Backend(GroundStage, LearnedPrior)
