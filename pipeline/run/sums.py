"""What the accounts of a stage's shards come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from relforge.pipeline.run.stage_plan import StagePlan
from relforge.pipeline.store.counts import (
    DROPPED,
    KINDS,
    ORDER,
    QUARANTINED,
    RECORDS,
    ROWS_IN,
    ROWS_OUT,
    count,
    lost_name,
    noting_name,
    pick,
    read_name,
)
from relforge.pipeline.store.sidecar import Sidecar


@dataclass
class Loss:
    """Input of one kind.

    Args:
        read: how much of it the stage read.
        lost: reason -> how much of that it could not use.
    """

    read: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """The share that is lost; 0 where nothing was read."""
        return self.lost.total() / self.read if self.read else 0.0


Losses = dict[str, Loss]
"""Kind -> loss."""


@dataclass
class Sums:
    """Over shards of one stage.

    Args:
        rows_in, rows_out: rows of its primary input, and of its first table.
        dropped, quarantined: records by reason.
        losses: of its input.
    """

    rows_in: int
    rows_out: int
    dropped: Counter[str]
    quarantined: Counter[str]
    losses: Losses

    @classmethod
    def of(cls, step: StagePlan, counts: Mapping[str, int]) -> Sums:
        """From what the accounts of the stage's first table come to (`counts.count`)."""
        dropped, quarantined = pick(counts, DROPPED), pick(counts, QUARANTINED)
        losses = read_losses(step, counts)
        return cls(counts.get(ROWS_IN, 0), counts.get(ROWS_OUT, 0), dropped, quarantined, losses)


def count_losses(step: StagePlan, accounts: Iterable[Sidecar]) -> Losses:
    """What the shards of a stage lost, kind by kind."""
    counts: Counter[str] = Counter()
    for account in accounts:
        counts.update(count(account))
    return read_losses(step, counts)


def read_losses(step: StagePlan, counts: Mapping[str, int]) -> Losses:
    """The same from what their accounts come to.

    A stage that notes no losses (`Account.lose`) lost the rows of its primary input that it quarantined.
    """
    primary = step.inputs[0] if step.inputs else ""
    # ingest notes every kind that it reads; elsewhere the primary input is counted besides
    kind = primary if primary in KINDS else RECORDS
    noting = noting_name(kind)
    read = counts.get(ROWS_IN, 0) - counts.get(noting + ROWS_IN, 0)
    lost = pick(counts, QUARANTINED) - pick(counts, noting + QUARANTINED)
    found = {kind: Loss(read, lost)} if read or lost else {}
    for name in ORDER:
        if read_name(name) in counts:
            loss = found.setdefault(name, Loss())
            loss.read += counts[read_name(name)]
            loss.lost.update(pick(counts, lost_name(name)))
    return found
