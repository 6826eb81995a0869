"""`relforge plan CONFIG`: what a run would do."""

from __future__ import annotations

from dataclasses import asdict

from relforge.cli.output import Json, print_json, print_line, print_table
from relforge.cli.run import ConfigFile, Overrides


def command(config: ConfigFile, overrides: Overrides = None, as_json: Json = False) -> None:
    """Print what `relforge run` would make, and why, without making any of it."""
    from relforge.pipeline.config import load
    from relforge.pipeline.run.prepare import preview

    job = load(config, overrides or [])
    found = preview(job)
    if as_json:
        return print_json({"folder": job.folder, **asdict(found)})
    print_line(f"{job.folder}: {'a new run' if found.new else 'resumes'}, {found.total or 'unknown'} shards")
    rows = []
    for step in found.steps:
        counts = ", ".join(f"{count} {state}" for state, count in found.todo.get(step, {}).items())
        open_end = "every shard that ingest brings" if found.surplus and step in found.todo else "nothing"
        rows.append((step, counts or open_end))
    print_table(("stage", "shards to make"), rows)
    for change in found.changes:
        print_line(f"{change}: the run refuses this without --accept-changes")
    return None
