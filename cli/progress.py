"""Progress of a run: bars on a terminal, one line per step elsewhere. Always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from relforge.cli.output import escape_control, print_line
from relforge.pipeline.run.job import INGEST, Job
from relforge.pipeline.run.progress import Event, Notice, Progress, ShardDone, Started

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_INTERIM_SECONDS = 10.0
"""Minimum time between two interim lines."""


@contextmanager
def show_progress(job: Job) -> Iterator[Progress]:
    """A progress callback for `execute.run`: bars where standard error is a terminal, else lines."""
    names = [INGEST, *(spec.name for spec in job.stages)]
    if not sys.stderr.isatty():
        yield Lines(names)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("shards"),
        TextColumn("{task.fields[rows]:>12,} rows"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield BarPerStage(bars, names)


class Lines:
    """One line when work begins, one when a stage is done, and one every ten seconds between.

    Args:
        names: the stages in order.
    """

    def __init__(self, names: list[str]) -> None:
        self._count = _Count(names)
        self._printed = time.monotonic()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            return _print(event.text)
        self._count.add(event)
        if isinstance(event, Started):
            shards = "" if event.total is None else f" of {event.total}"
            rest = "all" if event.total is None else "where its input changes"
            todo = ", ".join(f"{name} {n or rest}" for name, n in event.todo.items())
            return _print(f"shards to do{shards}: {todo}")
        done = self._count.total is not None and self._count.done[event.stage] >= self._count.total
        if done:
            return _print(f"{event.stage}: done, {self._count.rows[event.stage]:,} rows")
        if time.monotonic() - self._printed > _INTERIM_SECONDS:
            self._printed = time.monotonic()
            _print(
                ", ".join(f"{name} {n}/{self._count.total or '?'}" for name, n in self._count.done.items())
            )
        return None


class BarPerStage:
    """One bar per stage, in shards.

    Args:
        bars: rich's live display.
        names: the stages in order.
    """

    def __init__(self, bars: Bars, names: list[str]) -> None:
        self._bars = bars
        self._count = _Count(names)
        self._tasks = {name: bars.add_task(name, total=None, rows=0) for name in names}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            from rich.text import Text

            self._bars.console.print(Text(escape_control(event.text)))
            return
        self._count.add(event)
        for name, task in self._tasks.items():
            self._bars.update(
                task,
                completed=self._count.done[name],
                total=self._count.total,
                rows=self._count.rows[name],
            )


class _Count:
    """Shards done and rows written per stage; shards that were done before count as done."""

    def __init__(self, names: list[str]) -> None:
        self.total: int | None = None
        self.done = dict.fromkeys(names, 0)
        self.rows = dict.fromkeys(names, 0)

    def add(self, event: Started | ShardDone) -> None:
        if isinstance(event, ShardDone):
            self.done[event.stage] += 1
            self.rows[event.stage] += event.rows_out
            return
        self.total = event.total
        if event.total is not None:
            for name in self.done:
                self.done[name] = event.total - event.todo.get(name, 0)


def _print(text: str) -> None:
    print_line(text, sys.stderr)
