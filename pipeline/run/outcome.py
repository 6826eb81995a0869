"""How a run ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Outcome(IntEnum):
    """The value is the exit status of the command."""

    COMPLETE = 0
    INCOMPLETE = 2
    """Interrupted, or some shards met storage or cluster trouble: the same command goes on."""
    FAILED = 3
    """A stage raised, or too many records were quarantined: something has to be mended first."""


@dataclass(frozen=True)
class RunResult:
    """What `execute.run` hands back.

    Args:
        outcome: complete, incomplete or failed.
        message: one sentence for the user.
        committed: shards committed by this call, per stage (stages with none are left out).
        dataset_hash: hash over the content of every table, once complete; else None.
        seconds: wall time of the call.
    """

    outcome: Outcome
    message: str
    committed: dict[str, int]
    dataset_hash: str | None
    seconds: float
