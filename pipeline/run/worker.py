"""One shard of one stage, from committed input to committed output. Does not import Ray."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import pyarrow as pa

from relforge.pipeline.errors import BrokenInvariant, BrokenShard, RunError, StageFailed, StorageError
from relforge.pipeline.run.failure import is_transient, write_failure
from relforge.pipeline.run.marks import Running, try_mark
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.references import hide_secrets
from relforge.pipeline.run.stopwatch import Stopwatch
from relforge.pipeline.run.survey import expected_fingerprint
from relforge.pipeline.store.commit import CommitContext, commit
from relforge.pipeline.store.run_folder import FAILED, RunFolder
from relforge.pipeline.store.sidecar import Sidecar
from relforge.redaction import redact
from relforge.stages.contract import Postponed, Stage
from relforge.vlm.client import VlmError

COMMITTED = "committed"
KEPT = "kept"
SKIPPED = "skipped"
RETRIES_EXHAUSTED = "retries_exhausted"
STAGE_FAILED = "failed"
STORAGE_FAILED = "storage_failed"


@dataclass(frozen=True)
class ShardReport:
    """What became of one shard in one stage.

    Args:
        stage, shard: which.
        state: `committed` (new), `kept` (was done already, or another driver was first), `skipped` (an
            input is missing or broken, or the run was stopped), `retries_exhausted` (transient errors to
            the last). Two more stop the run and carry an exception where exceptions lose their type on
            the way, on Ray: `failed` (the stage raised) and `storage_failed` (the storage takes no writes).
        rows_in, rows_out, quarantined: of the commit.
        seconds: spent on it.
        detail: what went wrong.
    """

    stage: str
    shard: int
    state: str
    rows_in: int = 0
    rows_out: int = 0
    quarantined: int = 0
    seconds: float = 0.0
    detail: str = ""

    @classmethod
    def of_error(cls, stage: str, shard: int, error: Exception) -> ShardReport:
        """An exception as a report; `raise_if_fatal` raises it again."""
        if isinstance(error, RunError) and not isinstance(error, StageFailed | BrokenInvariant):
            return cls(stage, shard, STORAGE_FAILED, detail=redact(str(error)))
        detail = str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        return cls(stage, shard, STAGE_FAILED, detail=redact(detail))

    def raise_if_fatal(self) -> None:
        """StageFailed or StorageError, when the report is of one."""
        if self.state == STAGE_FAILED:
            raise StageFailed(self.detail)
        if self.state == STORAGE_FAILED:
            raise StorageError(self.detail)

    @property
    def usable(self) -> bool:
        """Whether the stages that read its output can continue."""
        return self.state in (COMMITTED, KEPT)


@dataclass
class ShardWorker:
    """Runs shards of one stage in this process; the stage object is set up before its first shard.

    Args:
        plan: the run.
        stage_name: which stage.
        folder: the run folder.
        forced: shards to redo although they are done.
    """

    plan: Plan
    stage_name: str
    folder: RunFolder
    forced: frozenset[int] = frozenset()
    _stage: Stage | None = field(default=None, init=False)
    _failed: set[int] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        hide_secrets(self.plan.job)

    def prepare(self) -> None:
        """Set the stage up, which loads its model; `run` does so where it was not done."""
        self._ready()

    def run(self, shard: int) -> ShardReport:
        """Make the shard unless it is done.

        Raises:
            StageFailed: the stage raised; traceback and record are in `logs/failed`.
            BrokenInvariant: the stage's account does not add up; logged likewise.
            StorageError: the storage refuses writes.
        """
        retries = self.plan.job.limits.retries
        delay = 0.5
        for left in range(retries, -1, -1):
            try:
                return self._attempt(shard)
            except (RunError, StageFailed):
                raise
            except Exception as error:
                if not is_transient(error):
                    raise
                if not left:
                    with suppress(OSError, RunError):  # or the next attempt counts it
                        self.folder.storage.delete(self.folder.running_path(self.stage_name, shard))
                    detail = f"{type(error).__name__}: {error}, {retries + 1} times in a row"
                    return ShardReport(self.stage_name, shard, RETRIES_EXHAUSTED, detail=detail)
                time.sleep(delay)
                delay *= 2
        raise AssertionError("unreachable")

    def _attempt(self, shard: int) -> ShardReport:
        watch = Stopwatch()
        step, folder = self.plan.step(self.stage_name), self.folder
        inputs: dict[str, Sidecar] = {}
        for table in step.inputs:
            sidecar = folder.sidecar(table, shard)
            if not sidecar:
                return self._skip(shard, f"table {table!r} has no committed shard {shard}")
            inputs[table] = sidecar
        fingerprint = expected_fingerprint(step, shard, inputs)
        if shard not in self.forced and folder.committed(step.outputs, shard, fingerprint):
            return ShardReport(self.stage_name, shard, KEPT)
        attempt = begin(self.plan, folder, self.stage_name, shard)
        try:
            tables = {
                table: folder.read_table(table, shard, inputs[table], self.plan.spec(table).schema)
                for table in step.inputs
            }
        except BrokenShard as error:
            self._invalidate(error, inputs[error.table])
            return self._skip(shard, str(error))
        rows_in = tables[step.inputs[0]].num_rows
        try:
            result = self._ready().process(tables)
            context = CommitContext(
                step.name,
                step.specs,
                fingerprint,
                {table: sidecar.content for table, sidecar in inputs.items()},
                rows_in,
                watch.seconds,
                attempt,
                shard in self.forced,
                watch.cpu_seconds,
                watch.seconds * self.plan.job.stage(step.name).resources.num_gpus,
            )
            committed, ours = commit(folder, shard, result, context)
        except StorageError:
            raise
        except Postponed as error:
            return self._skip(shard, str(error))
        except Exception as error:
            if is_transient(error):
                raise
            self._fail(shard, attempt, error, tables)
        self._finish(shard)
        first = committed[step.outputs[0]]
        return ShardReport(
            self.stage_name,
            shard,
            COMMITTED if ours else KEPT,
            rows_in,
            first.rows_out,
            sum(first.quarantined.values()),
            watch.seconds,
        )

    def _ready(self) -> Stage:
        if self._stage is None:
            stage = self.plan.job.build_stage(self.stage_name)
            stage.setup()
            self._stage = stage
        return self._stage

    def _invalidate(self, error: BrokenShard, read: Sidecar) -> None:
        """Delete a damaged input's sidecar, so that the next pass makes the shard again."""
        now = self.folder.sidecar(error.table, error.shard)
        if now and now.sha256 == read.sha256:  # else another driver replaced it while we read
            self.folder.delete_sidecar(error.table, error.shard)

    def _skip(self, shard: int, detail: str) -> ShardReport:
        self.folder.storage.delete(self.folder.running_path(self.stage_name, shard))
        return ShardReport(self.stage_name, shard, SKIPPED, detail=detail)

    def _finish(self, shard: int) -> None:
        self.folder.storage.delete(self.folder.running_path(self.stage_name, shard))
        if self._failed is None:
            self._failed = set(self.folder.numbers(FAILED, self.stage_name))
        if shard in self._failed:
            self.folder.storage.delete(self.folder.failed_path(self.stage_name, shard))

    def _fail(self, shard: int, attempt: int, error: Exception, tables: Mapping[str, pa.Table]) -> None:
        # neither is about a record, and looking for one would ask a server over and over
        stage = None if isinstance(error, BrokenInvariant | VlmError) else self._stage
        raise write_failure(self.folder, self.stage_name, shard, attempt, error, stage, tables) from error


def begin(plan: Plan, folder: RunFolder, stage: str, shard: int) -> int:
    """Record in `logs/running` that this shard is being worked on; returns the number of this attempt.

    A record that is already there was left by a worker that died (the driver deletes old ones at its
    start), so a shard that kills its worker every time is noticed and not tried for ever.
    """
    path = folder.running_path(stage, shard)
    before = try_mark(folder, path, Running)
    attempt = (before["attempt"] if before else 0) + 1
    if attempt > plan.job.limits.retries + 1:
        raise StageFailed(
            f"stage {stage!r} lost its worker {attempt - 1} times on shard {shard}: out of memory or a crash "
            "in native code; give it more memory or smaller shards"
        )
    running = {"attempt": attempt, "host": socket.gethostname(), "pid": os.getpid(), "started": time.time()}
    folder.write_json(path, running, durable=False)
    return attempt
