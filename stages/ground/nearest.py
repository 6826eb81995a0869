"""The nearest boxes first: a prior from the distance of a pair alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relforge.stages.backend import Backend
from relforge.stages.ground.pairs import Alternatives
from relforge.stages.ground.stage import GroundStage

OFFSET, SLOPE = 0.16, 4.2


class NearestPrior:
    """sigmoid(OFFSET - SLOPE * distance), with the distance of `Alternatives.distance`.

    The two numbers were fitted to annotated pairs of COCO images with all their boxes
    (benchmarks/results/grounding.md), so that the prior is about as often right as it says.
    """

    version = 1
    default_floor = 0.02

    def files(self) -> Sequence[str]:
        return ()

    def load(self) -> None:
        """Nothing to load."""

    def score(self, pairs: Alternatives) -> np.ndarray:
        """See `PairPrior`."""
        score: np.ndarray = 1 / (1 + np.exp(SLOPE * pairs.distance() - OFFSET))
        return score


stage = Backend(GroundStage, NearestPrior)
