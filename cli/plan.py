"""`relforge plan CONFIG`: what a run would do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from relforge.cli.output import Json, print_json, print_line, print_table
from relforge.cli.run import ConfigFile, Overrides, Relabel
from relforge.machine import count_usable_cpus

if TYPE_CHECKING:
    from relforge.pipeline.run.estimate import Estimate
    from relforge.pipeline.run.job import Job
    from relforge.stages.answers.foresight import Foreseen


def command(
    config: ConfigFile,
    overrides: Overrides = None,
    measure: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Make N images in a folder that is thrown away; estimate all."),
    ] = None,
    relabel: Relabel = None,
    as_json: Json = False,
) -> None:
    """Print what `relforge run` would make, and why, without making any of it."""
    from relforge.pipeline.config import load
    from relforge.pipeline.run.foresee import foresee
    from relforge.pipeline.run.prepare import preview

    job = load(config, overrides or [], relabel=relabel)
    found = preview(job)
    foreseen = foresee(job)
    costs = None if measure is None else _measure(job, measure)
    if as_json:
        document = {"folder": job.folder, **asdict(found)}
        document["foreseen"] = {stage: one and asdict(one) for stage, one in foreseen.items()}
        return print_json(document if costs is None else {**document, "estimate": asdict(costs)})
    print_line(f"{job.folder}: {'a new run' if found.new else 'resumes'}, {found.total or 'unknown'} shards")
    rows = []
    for step in found.steps:
        counts = ", ".join(f"{count} {state}" for state, count in found.todo.get(step, {}).items())
        open_end = "every shard that ingest brings" if found.surplus and step in found.todo else "nothing"
        rows.append((step, counts or open_end))
    print_table(("stage", "shards to make"), rows)
    for change in found.changes:
        print_line(f"{change}: the run refuses this without --accept-changes")
    for stage, one in foreseen.items():
        print_line(f"{stage}: {_describe(one)}")
    if costs is not None:
        _print_estimate(costs)
    return None


def _describe(found: Foreseen | None) -> str:
    if found is None:
        return "how much it will ask is known once the tables that it reads are made"
    cost = "" if found.cost is None else f", about {found.cost:,.2f} at the price given"
    return (
        f"about {found.requests:,} requests, {found.input_tokens / 1e6:,.2f} million tokens in and at most "
        f"{found.output_tokens / 1e6:,.2f} million out{cost}; what is kept already costs nothing"
    )


def _measure(job: Job, images: int) -> Estimate:
    from relforge.pipeline.run.estimate import estimate

    return estimate(job, images, count_usable_cpus())


def _print_estimate(found: Estimate) -> None:
    print_line()
    columns = ("stage", "start-up s", "s per image", "workers", "hours", "CPU hours", "GPU hours")
    rows = [
        (
            one.stage,
            f"{one.startup_seconds:.1f}",
            f"{one.image_seconds:.4f}",
            f"{one.workers}",
            f"{one.wall_hours:.3f}",
            f"{one.cpu_hours:.3f}",
            f"{one.gpu_hours:.3f}" if one.gpu_hours else "-",
        )
        for one in found.stages
    ]
    print_table(columns, rows, title=f"{found.images:,} images in {found.shards:,} shards, estimated")
    slowest = found.slowest
    print_line(
        f"{slowest.stage} sets the pace: about {slowest.wall_hours:.2f} hours. Assumed: images like the "
        f"first {found.measured:,}, machines like this one, the workers of the config, CPUs that are free"
    )
