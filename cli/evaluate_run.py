"""A run's scored relations against the gold that its source brought along."""

from __future__ import annotations

from typing import Any

from relforge.cli.errors import BadInput

Table = tuple[tuple[str, ...], list[tuple[Any, ...]]]


def measure(run: str, threshold: float) -> dict[str, Any]:
    """Quality of all stored scores, and at `threshold`.

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


def tables(found: dict[str, Any]) -> list[Table]:
    """What a person reads of it."""
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
