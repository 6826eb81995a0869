"""`relforge eval RUN`: relations against the gold that the source brought along."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.pipeline.cli.errors import BadInput
from relforge.pipeline.cli.output import Json, print_json, print_table


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder whose source has gold relations.")],
    threshold: Annotated[float, typer.Option(help="Score from which a relation counts.")] = 0.2,
    as_json: Json = False,
) -> None:
    """Precision, recall, F1 and mean average precision of a run's scored relations.

    Every stored score takes part, below the run's threshold too, so the best threshold shows.
    """
    from relforge.trainer.data.sources import read_table
    from relforge.trainer.evaluate.relations import evaluate

    try:
        gold, scores = (read_table(run, table) for table in ("gold", "scores"))
    except ValueError as error:
        raise BadInput(str(error)) from error
    if not gold.num_rows:
        raise BadInput(f"{run}: its source has no gold relations to compare with")
    found = evaluate(scores, gold)
    precision, recall, f1 = found.curve.at(threshold)
    best, best_f1 = found.curve.best()
    if as_json:
        print_json(
            {"mean_average_precision": found.mean_average_precision, "threshold": threshold}
            | {"precision": precision, "recall": recall, "f1": f1, "best_threshold": best, "best_f1": best_f1}
            | {"average_precision": found.average_precision, "gold": found.gold}
        )
        return
    print_table(
        ("measure", "value"),
        [
            ("mean average precision", f"{found.mean_average_precision:.4f}"),
            (f"precision at {threshold:g}", f"{precision:.4f}"),
            (f"recall at {threshold:g}", f"{recall:.4f}"),
            (f"F1 at {threshold:g}", f"{f1:.4f}"),
            (f"best F1, at {best:.3f}", f"{best_f1:.4f}"),
        ],
    )
    rows = sorted(found.gold, key=lambda name: -found.gold[name])
    print_table(
        ("predicate", "gold", "AP"),
        [(name, found.gold[name], f"{found.average_precision[name]:.4f}") for name in rows],
    )
