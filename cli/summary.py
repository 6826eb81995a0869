"""Running a job from the command line and saying how it ended."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal, cast

from relforge.cli.errors import BadInput
from relforge.cli.output import print_json, print_table
from relforge.cli.progress import show_progress
from relforge.pipeline.errors import RunResult
from relforge.pipeline.run.job import Job
from relforge.pipeline.run.status import RunStatus, StageStatus, status


def run_and_report(job: Job, executor: str, accept_changes: bool, as_json: bool) -> int:
    """Run the job with progress on standard error and a summary on standard output.

    Returns:
        the exit code.
    """
    return report(job.folder, execute(job, executor, accept_changes), as_json)


def execute(job: Job, executor: str, accept_changes: bool = False) -> RunResult:
    """Run the job with progress on standard error."""
    from relforge.pipeline.run.execute import run

    kind = executor_kind(executor)
    with show_progress(job) as progress:
        return run(job, executor=kind, progress=progress, accept_changes=accept_changes)


def executor_kind(name: str) -> Literal["ray", "loop"]:
    """The executor of that name; BadInput names the two there are."""
    if name not in ("ray", "loop"):
        raise BadInput(f"--executor {name!r}: choose ray or loop")
    return cast(Literal["ray", "loop"], name)


def report(folder: str, result: RunResult, as_json: bool) -> int:
    """Say how a run or rerun ended; returns the exit code."""
    found = status(folder)
    if as_json:
        print_json(
            {
                "folder": found.folder,
                "outcome": result.outcome.name.lower(),
                "message": result.message,
                "committed": result.committed,
                "dataset_hash": result.dataset_hash,
                "seconds": round(result.seconds, 3),
                "stages": [asdict(stage) for stage in found.stages],
            }
        )
        return int(result.outcome)
    if result.committed:
        print_stages(found)
    print(f"{result.message} ({result.seconds:.0f} s)")
    print(f"run folder: {found.folder}")
    return int(result.outcome)


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
