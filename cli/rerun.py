"""`relforge rerun RUN --stage S`: redo a stage with the run's own config."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json
from relforge.cli.run import AcceptChanges, AllowCode, Executor, check_executor, report_result
from relforge.cli.status import RunPath


def command(
    run: RunPath,
    stage: Annotated[str, typer.Option(help="The stage to redo, e.g. parse; or ingest.")],
    shards: Annotated[str | None, typer.Option(metavar="3,7-9", help="Only these shards.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only shards whose last attempt failed.")] = False,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Only shards with quarantined records.")
    ] = False,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Then bring up to date what descends from it.")
    ] = False,
    accept_changes: AcceptChanges = False,
    allow_code: AllowCode = False,
    executor: Executor = "ray",
    as_json: Json = False,
) -> None:
    """Redo one stage. The old output stays in place until the new one is committed."""
    from relforge.cli.progress import show_progress
    from relforge.pipeline.run.plan import load_plan
    from relforge.pipeline.run.rerun import rerun
    from relforge.pipeline.store.run_folder import RunFolder

    chosen = None if shards is None else parse_shards(shards)
    job = load_plan(RunFolder(run)).job
    with show_progress(job) as progress:
        result = rerun(
            run,
            stage,
            shards=chosen,
            failed=failed,
            quarantined=quarantined,
            downstream=downstream,
            executor=check_executor(executor),
            progress=progress,
            accept_changes=accept_changes,
            allow_code=allow_code,
        )
    raise typer.Exit(report_result(run, result, as_json))


def parse_shards(text: str) -> list[int]:
    """`3,7-9` -> [3, 7, 8, 9].

    Raises:
        BadInput: anything else.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not (last.isdigit() and int(last) >= int(first))):
            raise BadInput(f"--shards {text!r}: write numbers and ranges, e.g. 3,7-9")
        numbers.update(range(int(first), int(last or first) + 1))
    return sorted(numbers)
