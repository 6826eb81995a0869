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
        typer.Option(
            "--from", help="hico, vcoco, open_images, a dataset format of ingest, run or detections."
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="hico, hico_instances, hico_mat, vcoco, vcoco_list, open_images, open_images_list, an "
            "export format; or detections, detections_mat, detections_json, detections_qpic, "
            "detections_vcoco."
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
    from relforge.evaluation.predictions.registry import READERS, convert_detections
    from relforge.stages.contract import SourceError

    given = dict(read_option(one) for one in options or [])
    try:
        if from_ in READERS or to in READERS:
            counts, left_out = convert_detections(from_, path, to, out, given)
        else:
            found = convert(from_, path, to, out, given)
            counts, left_out = found.counts, found.left_out
    except (ValueError, SourceError, OSError) as error:
        raise BadInput(str(error)) from error
    if as_json:
        return print_json({"to": to, "out": out, **counts, "left_out": left_out})
    print_line(f"{out}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    if left_out:
        rows = [(reason.replace("_", " "), f"{count:,}") for reason, count in left_out.items()]
        print_table(("left out", "records"), rows)
    return None
