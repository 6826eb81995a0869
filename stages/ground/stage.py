"""The ground stage of every prior: candidates in, those that are likely out, with their prior and rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from relforge.stages.account import Account
from relforge.stages.contract import StageResult
from relforge.stages.ground.pairs import rank_within, read_alternatives
from relforge.stages.ground.prior import PairPrior
from relforge.stages.tables import conform


class GroundStage:
    """Gives every candidate a prior, and leaves out the unlikely ones before a tagger sees them.

    Args:
        prior: what gives it.
        floor: pairs whose prior is below it are counted as `improbable_pair` and not written; by default the
            prior's own.

    Raises:
        ValueError: a floor outside [0, 1).
    """

    name = "ground"
    inputs: tuple[str, ...] = ("candidates", "boxes", "images")
    outputs: tuple[str, ...] = ("grounded",)

    def __init__(self, prior: PairPrior, floor: float | None = None) -> None:
        if floor is not None and not 0 <= floor < 1:
            raise ValueError(f"floor is {floor}; it must be a probability below 1")
        self.prior, self._floor, self.version = prior, floor, prior.version
        self.ready = False

    @property
    def floor(self) -> float:
        """The config's, or the prior's own once it is loaded."""
        return self.prior.default_floor if self._floor is None else self._floor

    def files(self) -> Sequence[str]:
        return self.prior.files()

    def setup(self) -> None:
        self.prior.load()
        self.ready = True

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """All pairs of a shard at once.

        Raises:
            ValueError: a candidate names a box or an image that is not in the tables.
        """
        if not self.ready:
            self.setup()
        candidates = tables["candidates"].combine_chunks()
        pairs = read_alternatives(candidates, tables["boxes"], tables["images"])
        account = Account()
        score = self.prior.score(pairs)
        if score is None:
            account.keep(candidates.num_rows)
            columns = [pa.nulls(candidates.num_rows, kind) for kind in (pa.float32(), pa.int32())]
        else:
            prior = score.astype(np.float32)  # compared in the column's own precision
            rank = rank_within((pairs.claim,), -prior) + 1
            likely = prior >= np.float32(self.floor)
            account.keep(int(likely.sum()))
            account.drop("improbable_pair", int((~likely).sum()))
            candidates = candidates.filter(pa.array(likely))
            columns = [pa.array(prior[likely], pa.float32()), pa.array(rank[likely].astype(np.int32))]
        grounded = candidates.append_column("prior", columns[0]).append_column("prior_rank", columns[1])
        return account.result({"grounded": conform("grounded", grounded)})
