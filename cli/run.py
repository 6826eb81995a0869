"""`relforge run CONFIG`: run a job, or finish one that was begun."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line

if TYPE_CHECKING:
    from relforge.pipeline.errors import RunResult
    from relforge.pipeline.run.job import Job

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Change fields of the config, e.g. run.folder=runs/mine."),
]


def _complete_config(typed: str) -> list[str]:
    """Names of packaged configs; a shell adds the files that it sees."""
    from relforge.pipeline.config.source import PACKAGED

    return sorted(path.stem for path in PACKAGED.glob("*.yaml") if path.stem.startswith(typed))


ConfigFile = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG", help="YAML file, or the name of a packaged config.", autocompletion=_complete_config
    ),
]
AcceptChanges = Annotated[
    bool,
    typer.Option("--accept-changes", help="Go on though input files changed; redo what depends on them."),
]
AllowCode = Annotated[
    bool,
    typer.Option("--allow-code", help="Import code that does not come with relforge (package.module:Class)."),
]
Relabel = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL", help="Next round: label the same boxes by this model, trained on the run of CONFIG."
    ),
]
Executor = Annotated[
    str, typer.Option(metavar="ray|loop", help="ray, or a plain loop in this process (for debugging).")
]


def command(
    config: ConfigFile,
    overrides: Overrides = None,
    accept_changes: AcceptChanges = False,
    executor: Executor = "ray",
    relabel: Relabel = None,
    as_json: Json = False,
) -> None:
    """Run a config, or resume it: shards that are done already are not made again."""
    from relforge.pipeline.config import load

    job = load(config, overrides or [], relabel=relabel)
    raise typer.Exit(report_result(job.folder, execute(job, executor, accept_changes), as_json))


def execute(job: Job, executor: str, accept_changes: bool = False) -> RunResult:
    """Run the job with progress on standard error.

    Raises:
        BadInput: no such executor.
    """
    from relforge.cli.progress import show_progress
    from relforge.pipeline.run.execute import run

    kind = check_executor(executor)
    with show_progress(job) as progress:
        return run(job, executor=kind, progress=progress, accept_changes=accept_changes)


def check_executor(name: str) -> Literal["ray", "loop"]:
    """Return the name of an executor; BadInput for any other text."""
    if name not in ("ray", "loop"):
        raise BadInput(f"--executor {name!r}: choose ray or loop")
    return cast(Literal["ray", "loop"], name)


def report_result(folder: str, result: RunResult, as_json: bool) -> int:
    """Print how a run or rerun ended; returns the exit code."""
    from relforge.cli.status import print_stages, print_warnings
    from relforge.pipeline.run.status import status

    found = status(folder)
    warnings = [*result.warnings, *_unnamed_classes(folder, result)]
    if as_json:
        print_json(
            {
                "folder": found.folder,
                "outcome": result.outcome.name.lower(),
                "message": result.message,
                "warnings": warnings,
                "committed": result.committed,
                "dataset_hash": result.dataset_hash,
                "seconds": round(result.seconds, 3),
                "stages": [asdict(stage) for stage in found.stages],
            }
        )
        return int(result.outcome)
    if result.committed:
        print_stages(found)
    print_warnings(warnings)
    print_line(f"{result.message} ({result.seconds:.0f} s)")
    print_line(f"run folder: {found.folder}")
    return int(result.outcome)


def _unnamed_classes(folder: str, result: RunResult) -> list[str]:
    """What a run that made something says of classes that its captions never name."""
    from relforge.pipeline.errors import Outcome, StorageError
    from relforge.reports.unnamed_classes import draft_for

    if result.outcome != Outcome.COMPLETE or not result.committed.get("match"):
        return []
    try:
        sentence = draft_for(folder)
    except (StorageError, OSError) as error:
        return [f"a draft of synonyms cannot be written: {error}"]
    return [sentence] if sentence else []
