"""What the accounts of a stage's shards come to, from one look at each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relforge.pipeline.run.stage_plan import StagePlan
from relforge.pipeline.store.sidecar import Sidecar

_RECORDS = "records"
KINDS = ("images", "boxes", "captions")
ORDER = ("images", "boxes", "captions", "relations", _RECORDS)
"""What is lost with the first is lost in the others too, so the first is named."""


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
        finished: when each shard was done, seconds since the epoch.
    """

    rows_in: int = 0
    rows_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    losses: Losses = field(default_factory=dict)
    finished: list[float] = field(default_factory=list)


def sum_up(step: StagePlan, accounts: Iterable[Sidecar]) -> Sums:
    """The sums over these accounts of a stage's first table."""
    sums = Sums()
    for account in accounts:
        sums.rows_in += account.rows_in
        sums.rows_out += account.rows_out
        sums.dropped.update(account.dropped)
        sums.quarantined.update(account.quarantined)
        sums.finished.append(account.finished)
        _add_losses(sums.losses, step, account)
    return sums


def count_losses(step: StagePlan, accounts: Iterable[Sidecar]) -> Losses:
    """What the shards of a stage lost, kind by kind.

    A stage that notes no losses (`Account.lose`) lost the rows of its primary input that it quarantined.
    """
    found: Losses = {}
    for account in accounts:
        _add_losses(found, step, account)
    return found


def _add_losses(losses: Losses, step: StagePlan, account: Sidecar) -> None:
    for kind, (read, lost) in _noted(account, step).items():
        loss = losses.setdefault(kind, Loss())
        loss.read += read
        loss.lost.update(lost)


def _noted(account: Sidecar, step: StagePlan) -> dict[str, tuple[int, Mapping[str, int]]]:
    primary = step.inputs[0] if step.inputs else ""
    kind = primary if primary in KINDS else _RECORDS
    counted: dict[str, tuple[int, Mapping[str, int]]] = {kind: (account.rows_in, account.quarantined)}
    noted = account.notes.get("losses")
    if not isinstance(noted, dict) or not all(map(_is_loss, noted.values())):
        return counted
    noted = {name: (value["read"], value["lost"]) for name, value in noted.items() if name in ORDER}
    # ingest notes every kind that it reads; elsewhere the primary input is counted besides
    return noted if kind == _RECORDS else counted | noted


def _is_loss(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("read"), int):
        return False
    lost = value.get("lost")
    return isinstance(lost, dict) and all(isinstance(count, int) for count in lost.values())
