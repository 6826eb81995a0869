"""Events of a running job, for a progress bar or a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from relforge.pipeline.run.losses import MIN_READ, check_losses
from relforge.pipeline.run.marks import Running, try_mark
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.sums import Loss, Losses, count_losses
from relforge.pipeline.store.run_folder import RUNNING, RunFolder
from relforge.pipeline.store.sidecar import Sidecar


@dataclass(frozen=True)
class Started:
    """Work begins.

    Args:
        todo: stage -> shards to make, as far as known now.
        total: shards of the dataset; None until ingest has reached its end.
    """

    todo: Mapping[str, int]
    total: int | None


@dataclass(frozen=True)
class ShardDone:
    """One shard of one stage was committed.

    Args:
        stage, shard: which.
        rows_in, rows_out, quarantined, seconds: of the commit.
        losses: what it lost, by kind.
    """

    stage: str
    shard: int
    rows_in: int
    rows_out: int
    quarantined: int
    seconds: float
    losses: Losses = field(default_factory=dict)


@dataclass(frozen=True)
class Notice:
    """A message for the user; one sentence."""

    text: str


Event = Started | ShardDone | Notice
Progress = Callable[[Event], None]


class Monitor:
    """Passes events on, and watches losses and the time since the last commit."""

    def __init__(self, plan: Plan, folder: RunFolder, progress: Progress | None) -> None:
        self._plan, self._folder, self._progress = plan, folder, progress
        self._losses: dict[str, Losses] = {}
        self._last = time.monotonic()
        self.committed: dict[str, int] = {}

    def emit(self, event: Event) -> None:
        """Pass an event on; TooMuchLost when a stage has gone over a limit."""
        if self._progress:
            self._progress(event)
        if not isinstance(event, ShardDone):
            return
        self._last = time.monotonic()
        stage = event.stage
        self.committed[stage] = self.committed.get(stage, 0) + 1
        losses = self._losses.setdefault(stage, {})
        for kind, loss in event.losses.items():
            total = losses.setdefault(kind, Loss())
            total.read += loss.read
            total.lost.update(loss.lost)
        check_losses(self._folder, self._plan.step(stage), losses, self._plan.job.limits, MIN_READ)

    def check_stall(self) -> None:
        """Name the shard that has been worked on longest when nothing was committed for too long."""
        minutes = self._plan.job.limits.stall_minutes
        if time.monotonic() - self._last < minutes * 60:
            return
        self._last = time.monotonic()
        running = []
        for step in self._plan.stages:
            for shard in self._folder.numbers(RUNNING, step.name):
                value = try_mark(self._folder, self._folder.running_path(step.name, shard), Running)
                if value:
                    where = f"stage {step.name}, shard {shard} on {value['host']}"
                    running.append((value["started"], where))
        where = (
            min(running)[1] if running else "no shard is being worked on; the cluster may lack CPUs or GPUs"
        )
        self.emit(Notice(f"nothing was committed for {minutes:g} minutes; longest running: {where}"))


class Watcher:
    """Notices commits by listing the folder, so that workers need not report them.

    Args:
        folder, plan: what to watch.
    """

    def __init__(self, folder: RunFolder, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        # its last table's sidecar is the last to be published of a stage
        self._seen = {step.name: folder.sidecar_files(step.outputs[-1]) for step in plan.steps}

    def poll(self) -> list[ShardDone]:
        """Commits since the last call, stage by stage."""
        events = []
        for step in self._plan.steps:
            table = step.outputs[-1]
            now = self._folder.sidecar_files(table)
            unread = []
            for shard in now.shards[~self._seen[step.name].agree(now.shards, now.marks)].tolist():
                try:
                    path = self._folder.sidecar_path(table, shard)
                    account = Sidecar.from_bytes(self._folder.storage.read(path))
                except (FileNotFoundError, ValueError):
                    unread.append(shard)
                    continue
                events.append(
                    ShardDone(
                        step.name,
                        account.shard,
                        account.rows_in,
                        account.rows_out,
                        sum(account.quarantined.values()),
                        account.seconds,
                        count_losses(step, [account]),
                    )
                )
            self._seen[step.name] = now.only(np.setdiff1d(now.shards, unread)) if unread else now
        return events
