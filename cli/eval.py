"""`relforge eval`: a run's labels, or a model's detections, against gold relations."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, Table, print_json, print_table

_ANY = "any"


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
        typer.Option(help="MODEL: images of --data: a folder, or a pattern with {image_id}."),
    ] = None,
    subject: Annotated[
        str, typer.Option(help="MODEL: subject class that counts, `any` for all (HICO-DET: person).")
    ] = "person",
    unseen: Annotated[
        list[str] | None,
        typer.Option(help="MODEL: a predicate that training did not show, reported apart; repeat."),
    ] = None,
    short_side: Annotated[int, typer.Option(help="MODEL: shorter side of an image, pixels.")] = 800,
    long_side: Annotated[int, typer.Option(help="MODEL: longest allowed side of an image, pixels.")] = 1333,
    as_json: Json = False,
) -> None:
    """Precision, recall, F1 and mean average precision of a run, or HICO-style mAP of a model.

    RUN: every stored score is compared with the gold of the run's source, below the run's threshold too, so
    the best threshold shows.

    MODEL: detects (subject box, predicate, object box) in the images of --data; a detection is right when
    both boxes have an IoU of at least 0.5 and all three names are right. 11-point average precision per
    (subject, predicate, object), then the mean.
    """
    from relforge.cli import detection

    if detection.is_model(target):
        if data is None or images is None:
            raise BadInput(f"{target} is a model: say with --data FILE and --images FOLDER what to detect in")
        wanted = None if subject == _ANY else subject
        sides = (short_side, long_side)
        found = detection.measure(target, data, images, wanted, unseen or [], sides)
        tables = detection.tables(found)
    elif data is not None:
        raise BadInput(f"{target} is no model folder; --data goes with a trained ParSeD or ParSeDA")
    else:
        found = measure_run(target, threshold)
        tables = _run_tables(found)
    if as_json:
        print_json(found)
        return
    for columns, rows in tables:
        print_table(columns, rows)


def measure_run(run: str, threshold: float) -> dict[str, Any]:
    """Quality of all stored scores of a run, and at `threshold`.

    Raises:
        BadInput: no run folder, or its source has no gold.
    """
    from relforge.data.sources import read_table
    from relforge.evaluation.labels import evaluate

    try:
        gold, scores = (read_table(run, table) for table in ("gold", "scores"))
    except ValueError as error:
        raise BadInput(str(error)) from error
    if not gold.num_rows:
        raise BadInput(f"{run}: its source has no gold relations to compare with")
    found = evaluate(scores, gold)
    precision, recall, f1 = found.curve.at(threshold)
    best, best_f1 = found.curve.best()
    return {
        "mean_average_precision": found.mean_average_precision,
        "threshold": threshold,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "best_threshold": best,
        "best_f1": best_f1,
        "average_precision": found.average_precision,
        "gold": found.gold,
    }


def _run_tables(found: dict[str, Any]) -> list[Table]:
    at = f"at {found['threshold']:g}"
    measures = [
        ("mean average precision", f"{found['mean_average_precision']:.4f}"),
        (f"precision {at}", f"{found['precision']:.4f}"),
        (f"recall {at}", f"{found['recall']:.4f}"),
        (f"F1 {at}", f"{found['f1']:.4f}"),
        (f"best F1, at {found['best_threshold']:.3f}", f"{found['best_f1']:.4f}"),
    ]
    names = sorted(found["gold"], key=lambda name: -found["gold"][name])
    rows = [(name, found["gold"][name], f"{found['average_precision'][name]:.4f}") for name in names]
    return [(("measure", "value"), measures), (("predicate", "gold", "AP"), rows)]
