"""`relforge validate CONFIG`: everything that can be checked before a run."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli.output import Json, print_json, print_line, print_table
from relforge.cli.run import AllowCode, ConfigFile, Overrides


def command(
    config: ConfigFile,
    overrides: Overrides = None,
    load_models: Annotated[
        bool, typer.Option("--load", help="Also load every stage's models, as a worker would.")
    ] = False,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Check fields, backends, options, files, the order of the stages and the run folder. Runs nothing."""
    from relforge.pipeline.config import load
    from relforge.pipeline.config.preflight import preflight

    findings = preflight(load(config, overrides or [], allow_code), load_models)
    if as_json:
        print_json({"config": config, "valid": True, "checks": dict(findings)})
    else:
        print_table(("check", "found"), findings)
        print_line(f"{config} is valid")
