"""`relforge diff RUN_A RUN_B`: what changed between two runs."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli.output import Json, print_json, print_line, print_table


def command(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="The run to compare from.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The run to compare to.")],
    tolerance: Annotated[float, typer.Option(min=0, help="Scores this close count as equal.")] = 1e-6,
    limit: Annotated[int, typer.Option(min=0, help="Predicates and example relations shown.")] = 10,
    as_json: Json = False,
) -> None:
    """Compare config, relations added, removed and rescored, and the shift per predicate."""

    from relforge.reports.difference import compare_runs

    found = compare_runs(run_a, run_b, tolerance, limit)
    if as_json:
        return print_json(found)
    if found["config"]:
        rows = [(key, *values) for key, values in found["config"].items()]
        print_table(("config", "in A", "in B"), rows)
    else:
        print_line("config: the same")
    counts = found["relations"]
    print_line(", ".join(f"{name} {count:,}" for name, count in counts.items()))
    if found["predicates"]:
        columns = ("predicate", "in A", "in B", "added", "removed", "rescored")
        print_table(columns, [tuple(row.values()) for row in found["predicates"]])
    for kind in ("added", "removed"):
        for row in found["examples"][kind]:
            words = f"{row['image_id']}: {row['subject']} {row['predicate']} {row['object']}"
            print_line(f"{kind}: image {words}")
    return None
