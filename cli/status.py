"""`relforge status RUN`: the state of a run, from its folder alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from relforge.cli import exits
from relforge.cli.output import Json, print_json, print_line, print_table

if TYPE_CHECKING:
    from relforge.pipeline.run.status import RunStatus, StageStatus

RunPath = Annotated[
    str, typer.Argument(metavar="RUN", help="Run folder: a path or a URI such as s3://bucket/run.")
]
_SHOWN = 5
_WATCH_SECONDS = 5.0


def command(
    run: RunPath,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Also read every data file and check its hash; finds flipped bits."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Print again every 5 s until no driver works on it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what is done, running, failed, stale and quarantined. Exit code: 0 complete, 2 not, 3 failed."""
    from relforge.pipeline.run.status import status

    while True:
        found = status(run, verify=verify)
        failed = found.stopped is not None or any(stage.failed for stage in found.stages)
        if as_json:
            print_json({**asdict(found), "failed": failed})
        else:
            print_line(f"{found.folder}: dataset {found.dataset}, profile {found.profile}")
            print_stages(found)
            problems = [(s.stage, shard, why) for s in found.stages for shard, why in s.problems.items()]
            for stage, shard, why in problems[:_SHOWN]:
                print_line(f"{stage} shard {shard}: {why}")
            if len(problems) > _SHOWN:
                print_line(f"... and {len(problems) - _SHOWN} more; --json lists all")
            for sentence in found.waits:
                print_line(sentence)
            print_warnings(found.warnings)
            print_line(_verdict(found, failed))
        if not (watch and found.drivers):
            break
        time.sleep(_WATCH_SECONDS)
    if found.complete and not found.stopped:
        raise typer.Exit(exits.COMPLETE)
    raise typer.Exit(exits.FAILED if failed else exits.INCOMPLETE)


def print_warnings(warnings: Sequence[str]) -> None:
    """One line each."""
    for sentence in warnings:
        print_line(f"warning: {sentence}")


def _verdict(found: RunStatus, failed: bool) -> str:
    if found.stopped:
        return f"failed: {found.stopped}"
    if found.complete:
        return "complete"
    if found.drivers:
        return f"running: process {', '.join(found.drivers)}"
    if failed:
        return "failed; `relforge logs RUN --failed` shows why"
    return "incomplete; the same `relforge run` command resumes it"


def print_stages(found: RunStatus) -> None:
    """The table of stages: shards, rows, and where rows were lost."""
    columns = ("stage", "done", "not done", "rows in", "rows out", "dropped", "quarantined", "left")
    print_table(columns, [_row(stage) for stage in found.stages])


def _row(stage: StageStatus) -> tuple[str, ...]:
    total = "?" if stage.total is None else str(stage.total)
    states = ("running", "missing", "stale", "broken", "failed")
    undone = [f"{count} {name}" for name in states if (count := getattr(stage, name))]
    return (
        stage.stage,
        f"{stage.done}/{total}",
        ", ".join(undone) or "-",
        f"{stage.rows_in:,}",
        f"{stage.rows_out:,}",
        _reasons(stage.dropped),
        _reasons(stage.quarantined),
        "-" if stage.seconds_left is None else f"{stage.seconds_left / 60:.1f} min",
    )


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items()) or "-"
