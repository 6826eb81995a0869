"""How a run ends: its outcome, and why it stops, one class per action of the user.

Every message is one sentence that names the file or field and the fix; the command line prints it
as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Outcome(IntEnum):
    """The value is the exit status of the command."""

    COMPLETE = 0
    INCOMPLETE = 2
    """Interrupted, or storage or the cluster failed for some shards: the same command continues."""
    FAILED = 3
    """A stage raised, too much input was lost, or the result is empty and may not be: something has to be
    corrected first."""


@dataclass(frozen=True)
class RunResult:
    """What `execute.run` returns.

    Args:
        outcome: complete, incomplete or failed.
        message: one sentence for the user.
        committed: shards committed by this call, per stage (stages with none are left out).
        dataset_hash: hash over the content of every table, once complete; else None.
        seconds: wall time of the call.
        warnings: what the user needs to be told of a complete run, one sentence each.
    """

    outcome: Outcome
    message: str
    committed: dict[str, int]
    dataset_hash: str | None
    seconds: float
    warnings: tuple[str, ...] = ()


class RunError(Exception):
    """The run cannot start or continue. The base of all that `relforge` reports without a traceback."""


class ChangedInputs(RunError):
    """Files or the shard layout differ from what this run folder was made from."""


class DoesNotFit(RunError):
    """The run asks for resources that the cluster can never give it."""


class AnotherDriver(RunError):
    """A living driver works on the same folder with another configuration."""


class StorageError(RunError):
    """The storage refused a write or a read: full, read-only, vanished."""


class BrokenShard(RunError):
    """A committed shard no longer matches its sidecar."""

    def __init__(self, table: str, shard: int, why: str) -> None:
        self.table, self.shard, self.why = table, shard, why
        super().__init__(f"shard {shard} of table {table!r} is broken: {why}; run again to redo it")

    def __reduce__(self) -> tuple[type[BrokenShard], tuple[str, int, str]]:
        return type(self), (self.table, self.shard, self.why)


class BrokenInvariant(RunError):
    """A stage's account of its records does not add up; nothing was committed."""


class StageFailed(RunError):
    """A stage raised on a shard; the traceback and the record are under `RUN/logs/failed`."""
