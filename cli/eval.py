"""`relforge eval`: a run's labels, or a model's detections, against gold relations."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli.errors import BadInput
from relforge.cli.output import Json, print_json, print_table

ANY = "any"


def command(
    target: Annotated[
        str,
        typer.Argument(metavar="RUN|MODEL", help="Run folder, or folder of a trained ParSeD or ParSeDA."),
    ],
    threshold: Annotated[float, typer.Option(help="RUN: score from which a relation counts.")] = 0.2,
    data: Annotated[
        str | None, typer.Option(help="MODEL: scene graphs (Visual Genome JSON) to detect and compare.")
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(help="MODEL: pictures of --data: a folder, or a pattern with {image_id}."),
    ] = None,
    subject: Annotated[
        str, typer.Option(help="MODEL: subject class that counts, `any` for all (HICO-DET: person).")
    ] = "person",
    unseen: Annotated[
        list[str] | None,
        typer.Option(help="MODEL: a predicate that training did not show, reported apart; repeat."),
    ] = None,
    short_side: Annotated[int, typer.Option(help="MODEL: pictures' shorter side, pixels.")] = 800,
    long_side: Annotated[int, typer.Option(help="MODEL: most of the longer side, pixels.")] = 1333,
    as_json: Json = False,
) -> None:
    """Precision, recall, F1 and mean average precision of a run, or HICO-style mAP of a model.

    RUN: every stored score is compared with the gold that the source brought along, below the run's
    threshold too, so the best threshold shows.

    MODEL: detects (subject box, predicate, object box) in the pictures of --data; right are those with both
    boxes at an IoU of at least 0.5 and all three names right. 11-point average precision per kind, then
    the mean.
    """
    from relforge.cli import evaluate_model, evaluate_run

    if evaluate_model.is_model(target):
        if data is None or images is None:
            raise BadInput(f"{target} is a model: say with --data FILE and --images FOLDER what to detect in")
        wanted = None if subject == ANY else subject
        sides = (short_side, long_side)
        found = evaluate_model.measure(target, data, images, wanted, unseen or [], sides)
        tables = evaluate_model.tables
    elif data is not None:
        raise BadInput(f"{target} is no model folder; --data goes with a trained ParSeD or ParSeDA")
    else:
        found = evaluate_run.measure(target, threshold)
        tables = evaluate_run.tables
    if as_json:
        print_json(found)
        return
    for columns, rows in tables(found):
        print_table(columns, rows)
