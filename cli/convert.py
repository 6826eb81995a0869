"""`relforge convert PATH --from FORMAT --to FORMAT --out PATH`: relation data of one tool for another."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli.exits import BadInput
from relforge.cli.export import read_option
from relforge.cli.output import Json, print_json, print_line, print_table


def command(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Annotation file, folder or run folder.")],
    from_: Annotated[
        str,
        typer.Option("--from", help="hico, vcoco, open_images, a dataset format of ingest, or run."),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="hico, hico_instances, hico_mat, vcoco, vcoco_list, open_images, open_images_list, or an "
            "export format."
        ),
    ],
    out: Annotated[str, typer.Option(metavar="PATH", help="File or folder; it appears whole or not at all.")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Options of either format.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write relation data in another format, where the information allows; what it cannot hold is counted.

    A format that has numbers for pixels of an unknown size takes images=FOLDER, and reads sizes from there.
    """
    from relforge.data.convert import convert
    from relforge.stages.contract import SourceError

    given = dict(read_option(one) for one in options or [])
    try:
        found = convert(from_, path, to, out, given)
    except (ValueError, SourceError, OSError) as error:
        raise BadInput(str(error)) from error
    if as_json:
        return print_json({"to": to, "out": out, **found.counts, "left_out": found.left_out})
    print_line(f"{out}: " + ", ".join(f"{count:,} {name}" for name, count in found.counts.items()))
    if found.left_out:
        rows = [(reason.replace("_", " "), f"{count:,}") for reason, count in found.left_out.items()]
        print_table(("left out", "records"), rows)
    return None
