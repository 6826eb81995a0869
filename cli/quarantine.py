"""`relforge quarantine RUN`: the records that were set aside, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli.output import Json, print_json, print_line, print_table
from relforge.cli.status import RunPath


def command(
    run: RunPath,
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Show at most so many records; --json shows all.")] = 20,
    as_json: Json = False,
) -> None:
    """Count quarantined records by stage and reason, and show them."""
    from relforge.pipeline.store.quarantine import quarantined

    records = [row for row in quarantined(run, stage).to_pylist() if reason in (None, row["reason"])]
    if as_json:
        return print_json(records)
    if not records:
        return print_line("nothing is quarantined")
    counts: dict[tuple[str, str], int] = {}
    for row in records:
        counts[row["stage"], row["reason"]] = counts.get((row["stage"], row["reason"]), 0) + 1
    print_table(("stage", "reason", "records"), [(*key, count) for key, count in counts.items()])
    if limit:
        print_line()
        shown = ("stage", "shard", "image_id", "record", "reason", "detail")
        print_table(shown, [[row[name] for name in shown] for row in records[:limit]])
    if limit < len(records):
        print_line(f"... and {len(records) - limit} more; --limit or --json shows them")
    return None
