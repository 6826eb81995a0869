"""No prior: every candidate goes on, as without the stage."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.stages.backend import Backend
from relforge.stages.ground.pairs import Alternatives
from relforge.stages.ground.stage import GroundStage


class NoPrior:
    """Its candidates have no prior and no rank."""

    version = 1
    default_floor = 0.0

    def files(self) -> Sequence[str]:
        return ()

    def load(self) -> None:
        """Nothing to load."""

    def score(self, pairs: Alternatives) -> None:
        """It knows nothing."""


stage = Backend(GroundStage, NoPrior)
