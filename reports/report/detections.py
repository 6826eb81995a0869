"""What a report says of detections: their measures, why they are wrong, and how rare kinds do."""

from __future__ import annotations

from typing import Any

import numpy as np

from relforge.evaluation.detection_errors import VERDICTS
from relforge.evaluation.evaluator import Result
from relforge.evaluation.hico import HicoEvaluator, HicoGold
from relforge.evaluation.pairs import Kind

_RARITY = ((0, "0"), (1, "1 to 9"), (10, "10 to 99"), (100, "100 to 999"), (1000, "1,000 or more"))
"""Least number of rows of a kind -> name of the group."""

ERRORS = ("verdict", "detections", "share", "that is")
RARITY = ("rows of a kind", "kinds", "gold", "mAP", "prior's mAP")
PREDICATE = ("predicate", *VERDICTS)


def gather_detections(target: str, evaluator: HicoEvaluator) -> dict[str, Any]:
    """Everything in the report as plain values.

    Args:
        target: table of detections, or folder of a model.
        evaluator: says what they are compared with, and by which rules.

    Raises:
        ValueError, OSError: what cannot be read, or nothing to measure.
    """
    gold = evaluator.read_gold(target)
    detections = evaluator.read_detections(target, gold)
    result = evaluator.measure(detections, gold)
    errors = evaluator.errors(detections, gold)
    return {
        "detections": target,
        "annotations": evaluator.annotations,
        "protocol": result.protocol,
        "options": result.options,
        "measures": {name: {"value": one.value, "prior": one.prior} for name, one in result.measures.items()},
        "counts": result.counts,
        "errors": errors.counts(),
        "missed": int(errors.missed.sum()),
        "predicates": [{"predicate": name, **counts} for name, counts in errors.by_predicate().items()],
        "rarity_of": "training" if gold.training is not None else "gold",
        "rarity": by_rarity(result, gold),
    }


def by_rarity(result: Result, gold: HicoGold) -> list[dict[str, Any]]:
    """mAP of kinds by their number of rows in the training file, or in the gold where there is none."""

    def rows_of(row: dict[str, Any]) -> int:
        kind: Kind = (row["subject"], row["predicate"], row["object"])
        return gold.training.get(kind, 0) if gold.training is not None else int(row["gold"])

    least = [number for number, _ in _RARITY]
    place = np.searchsorted(least, [rows_of(row) for row in result.classes], "right") - 1
    found = []
    for group, (_, name) in enumerate(_RARITY):
        own = [row for row, at in zip(result.classes, place, strict=True) if at == group]
        if own:
            values = {key: float(np.mean([row[key] for row in own])) for key in _KEYS}
            gold_rows = sum(int(row["gold"]) for row in own)
            found.append({"rows": name, "kinds": len(own), "gold": gold_rows, **values})
    return found


_KEYS = ("average_precision", "prior_average_precision")


def list_measures(data: dict[str, Any]) -> list[tuple[str, float, float | None]]:
    """Name, value and the frequency prior's value of every measure."""
    return [(name.replace("_", " "), one["value"], one["prior"]) for name, one in data["measures"].items()]


def list_errors(data: dict[str, Any]) -> list[tuple[object, ...]]:
    """One row of `ERRORS` a verdict."""
    total = sum(data["errors"].values()) or 1
    return [(name, count, count / total, VERDICTS[name]) for name, count in data["errors"].items()]


def list_rarity(data: dict[str, Any]) -> list[tuple[object, ...]]:
    """One row of `RARITY` a group of kinds."""
    return [tuple(row.values()) for row in data["rarity"]]


def list_predicates(data: dict[str, Any]) -> list[tuple[object, ...]]:
    """One row of `PREDICATE` a predicate."""
    return [tuple(row.values()) for row in data["predicates"]]


def describe_errors(data: dict[str, Any]) -> str:
    """What the table of errors counts, without a full stop."""
    return (
        f"of each kind as many detections as it has annotated pairs, the best by score; "
        f"{data['missed']:,} of {data['counts']['gold']:,} pairs are found by none of them"
    )
