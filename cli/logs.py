"""`relforge logs RUN`: commits in order, and failures with their reasons."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relforge.cli.output import Json, print_json, print_line, print_table
from relforge.cli.status import RunPath

if TYPE_CHECKING:
    from relforge.pipeline.run.survey import Survey


def command(
    run: RunPath,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only failures, the last first, with their tracebacks.")
    ] = False,
    shard: Annotated[int | None, typer.Option(min=0, help="Only this shard.")] = None,
    as_json: Json = False,
) -> None:
    """Show the run's history: every committed shard, and every failure on record."""
    from relforge.pipeline.run.failure import failures
    from relforge.pipeline.run.plan import load_plan
    from relforge.pipeline.run.survey import Survey
    from relforge.pipeline.store.run_folder import RunFolder

    folder = RunFolder(run)
    survey = Survey(folder, load_plan(folder))
    if shard is not None:
        survey.check_known([shard], folder.uri)
    errors = sorted(failures(run), key=lambda one: -one["when"])
    errors = [one for one in errors if shard in (None, one["shard"])]
    commits = [] if failed else [one for one in _commits(survey) if shard in (None, one["shard"])]
    if as_json:
        return print_json(errors if failed else {"commits": commits, "failures": errors})
    if commits:
        columns = ("finished", "stage", "shard", "rows in", "rows out", "seconds", "attempt", "host")
        print_table(columns, [(_clock(one["finished"]), *list(one.values())[1:]) for one in commits])
    for one in errors:
        where = f"stage {one['stage']}, shard {one['shard']}"
        print_line()
        print_line(f"FAILED {_clock(one['when'])} {where}: {one['message']}")
        if one["record"]:
            print_line(f"record: {one['record']}")
        if failed:
            for line in one["traceback"].rstrip().split("\n"):
                print_line(line)
    if not errors:
        print_line("no failures on record")
    return None


def _commits(survey: Survey) -> list[dict[str, Any]]:
    """One row per committed shard of each stage, oldest first."""
    accounts = [account for step in survey.plan.steps for account in survey.sidecars(step).values()]
    return [
        {
            "finished": one.finished,
            "stage": one.stage,
            "shard": one.shard,
            "rows_in": one.rows_in,
            "rows_out": one.rows_out,
            "seconds": round(one.seconds, 2),
            "attempt": one.attempt,
            "host": one.host,
        }
        for one in sorted(accounts, key=lambda account: account.finished)
    ]


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
