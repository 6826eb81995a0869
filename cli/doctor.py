"""`relforge doctor`: what is installed on this machine, and what is missing."""

from __future__ import annotations

from dataclasses import asdict

import typer

from relforge.cli import exits
from relforge.cli.output import Json, print_json, print_line, print_table


def command(as_json: Json = False) -> None:
    """Check versions, devices, kernels, models and Ray. Exit code 3 when something is broken."""
    from relforge.pipeline.doctor import examine

    found = examine()
    broken = [check for check in found if check.state == "broken"]
    if as_json:
        print_json({"healthy": not broken, "checks": [asdict(check) for check in found]})
    else:
        rows = [(check.topic, check.name, check.state, check.detail) for check in found]
        print_table(("topic", "check", "state", "found"), rows)
        print_line(f"{len(broken)} broken" if broken else "nothing is broken")
    raise typer.Exit(exits.FAILED if broken else exits.COMPLETE)
