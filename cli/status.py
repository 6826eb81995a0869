"""`relforge status RUN`: the state of a run, from its folder alone."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from relforge.cli import exits
from relforge.cli.output import Json, print_json, print_line, print_table
from relforge.pipeline.run.job import INGEST

if TYPE_CHECKING:
    from relforge.pipeline.run.answered import Answered
    from relforge.pipeline.run.status import RunStatus, StageStatus

RunPath = Annotated[
    str, typer.Argument(metavar="RUN", help="Run folder: a path or a URI such as s3://bucket/run.")
]
_COLUMNS = 80
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
    """The table of stages, numbers alone so that it fits 80 columns; below it what each stage waits for, and
    why records were dropped and quarantined."""
    columns = ("stage", "done", "not done", "rows in", "rows out", "dropped", "quarantined")
    print_table(columns, [_row(stage) for stage in found.stages])
    width = max(len(stage.stage) for stage in found.stages)
    for stage in found.stages:
        for sentence in describe_stage(stage):
            for number, line in enumerate(textwrap.wrap(sentence, _COLUMNS - width - 2)):
                print_line(f"{'' if number else stage.stage:<{width}}  {line}")
    print_answered(found.answered)


def print_answered(found: Sequence[Answered]) -> None:
    """What stages that ask models were answered, stored and really spent; nothing where none asks."""
    from relforge.pipeline.run.answered import COLUMNS, answered_rows

    if found:
        print_line()
        print_table(COLUMNS, answered_rows(found))


def _row(stage: StageStatus) -> tuple[str, ...]:
    total = "?" if stage.total is None else str(stage.total)
    undone = stage.running + stage.missing + stage.stale + stage.broken
    numbers = (stage.rows_in, stage.rows_out, sum(stage.dropped.values()), sum(stage.quarantined.values()))
    return (
        stage.stage,
        f"{stage.done}/{total}",
        f"{undone:,}" if undone else "-",
        *(f"{count:,}" for count in numbers[:2]),
        *(f"{count:,}" if count else "-" for count in numbers[2:]),
    )


def describe_stage(stage: StageStatus) -> list[str]:
    """What is to be said of a stage beside its numbers: undone shards and what they wait for, and losses."""
    states = ("running", "missing", "stale", "broken", "failed")
    undone = [", ".join(f"{count} {name}" for name in states if (count := getattr(stage, name)))]
    undone += [f"waits for {parent} ({count})" for parent, count in stage.waits_for.items()]
    if stage.reads_on:
        undone.append("reads its source" if stage.stage == INGEST else f"waits for {INGEST} to reach its end")
    if stage.seconds_left is not None:
        undone.append(f"about {stage.seconds_left / 60:.1f} min left")
    sentences = ["; ".join(part for part in undone if part)]
    for word, counts in (("dropped", stage.dropped), ("quarantined", stage.quarantined)):
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
        sentences.append(f"{word}: {reasons}" if reasons else "")
    return [sentence for sentence in sentences if sentence]
