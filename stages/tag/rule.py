"""The greedy baseline: every class-consistent pair gets its candidate texts (Table 5 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from relforge.stages import tables as schemas
from relforge.stages.account import Account
from relforge.stages.candidate_columns import as_grounded
from relforge.stages.contract import StageResult
from relforge.stages.overlap import pairs_overlap


class RuleTagger:
    """Scores every candidate 1.

    A stage of its own and no `Tagger`: it reads no image, and scores a table in one step where a `Tagger`
    gets an image at a time.

    Args:
        overlap_prior: drop candidates whose boxes do not overlap (reason `no_overlap`).
        candidates: table they are read from: `candidates`, or `grounded` where the run has that stage.
    """

    name = "tag"
    version = 2
    inputs: tuple[str, ...] = ("candidates", "boxes")
    outputs: tuple[str, ...] = ("scores",)

    def __init__(self, overlap_prior: bool = False, candidates: str = "candidates") -> None:
        self.inputs = (candidates, *self.inputs[1:])
        self._overlap_prior = overlap_prior

    def files(self) -> Sequence[str]:
        return ()

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        candidates = as_grounded(tables[self.inputs[0]])
        account = Account()
        if self._overlap_prior:
            total = candidates.num_rows
            candidates = candidates.filter(pa.array(pairs_overlap(candidates, tables["boxes"])))
            account.drop("no_overlap", total - candidates.num_rows)
        rows = candidates.num_rows
        account.keep(rows)
        scores = (
            candidates.append_column("score", pa.array(np.ones(rows, np.float32)))
            .append_column("subject_score", pa.nulls(rows, pa.float32()))
            .append_column("object_score", pa.nulls(rows, pa.float32()))
            .append_column("tagger", pa.array(["rule"] * rows, pa.string()))
        )
        return account.result({"scores": schemas.conform("scores", scores)})
