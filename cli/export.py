"""`relforge export RUN --to FORMAT`: relations for other tools."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli import exits
from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line, report_error
from relforge.cli.status import RunPath, print_warnings
from relforge.limited_yaml import YamlError, read_yaml


def command(
    run: RunPath,
    to: Annotated[
        str,
        typer.Option(
            help="rlipv2, vg, vg150, coco, hico, open-images, label-studio, fiftyone, hf or parquet."
        ),
    ],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Options of the format.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="PATH", help="File or folder; default: RUN/export/FORMAT.")
    ] = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out relations below.")] = 0.0,
    where: Annotated[
        str | None,
        typer.Option(metavar="SQL", help="Write these relations only, e.g. \"predicate != 'near'\"."),
    ] = None,
    exclude: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Leave out the images of a list, e.g. of relforge audit."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Export what is done of an unfinished run.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a run's relations in another format, streamed shard by shard. It appears whole or not at all."""
    from relforge.data.exclude import read_excluded
    from relforge.pipeline.export import Unfinished, default_path, export_run
    from relforge.reports.matching import RelationFilter

    target = out or default_path(run, to)
    given = dict(read_option(one) for one in options or [])
    try:
        keep = None if where is None else RelationFilter(run, where)
        counts = export_run(
            run,
            to,
            target,
            min_score=min_score,
            keep=keep,
            exclude=() if exclude is None else read_excluded(exclude),
            partial=partial,
            **given,
        )
    except Unfinished as error:
        report_error(str(error), exits.INCOMPLETE, as_json)
        raise typer.Exit(exits.INCOMPLETE) from None
    except ValueError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        report_error(f"{target} cannot be written: {error}", exits.FAILED, as_json)
        raise typer.Exit(exits.FAILED) from None
    warnings = []
    if counts.get("relations") == 0:
        low = f" with a score of at least {min_score:g}" if min_score else ""
        low += f" where {where!r} holds" if where is not None else ""
        why = f"{run} has none{low} to write; see `relforge status {run}`"
        if left_out := counts.get("left_out"):
            why = f"{left_out:,} are left out by the format or its options"
        warnings = [f"the export has no relation: {why}"]
    if counts.get("excluded_images") == 0:
        warnings.append(f"no image of {exclude} is in the run: it is a list of another set")
    if as_json:
        return print_json({"to": to, "out": target, **counts, "warnings": warnings})
    print_warnings(warnings)
    print_line(f"{target}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return None


def read_option(text: str) -> tuple[str, object]:
    """Name and value of `key=value`; the value is YAML."""
    key, equals, value = text.partition("=")
    if not equals or not key or not value:
        raise BadInput(f"{text!r}: an option of the format is written key=value")
    try:
        return key, read_yaml(value)
    except YamlError as error:
        raise BadInput(f"{key}: {error}; quote the value") from error
