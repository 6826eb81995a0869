"""`relforge run CONFIG`: run a job, or finish one that was begun."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli.output import Json

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Change fields of the config, e.g. run.folder=runs/mine."),
]
ConfigFile = Annotated[
    str, typer.Argument(metavar="CONFIG", help="YAML file, or the name of a packaged config.")
]
AcceptChanges = Annotated[
    bool,
    typer.Option("--accept-changes", help="Go on though input files changed; redo what depends on them."),
]
Executor = Annotated[
    str, typer.Option(metavar="ray|loop", help="ray, or a plain loop in this process (for debugging).")
]


def command(
    config: ConfigFile,
    overrides: Overrides = None,
    accept_changes: AcceptChanges = False,
    executor: Executor = "ray",
    as_json: Json = False,
) -> None:
    """Run a config, or resume it: whatever is done already is not done again."""
    from relforge.cli.summary import run_and_report
    from relforge.pipeline.config import load

    raise typer.Exit(run_and_report(load(config, overrides or []), executor, accept_changes, as_json))
