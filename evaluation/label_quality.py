"""Labels against gold: precision, recall, thresholds, calibration, predicates, and the prior beside them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import duckdb
import numpy as np

from relforge.evaluation.calibration import Bin, expected_error
from relforge.evaluation.evaluator import Row
from relforge.evaluation.label_codes import with_classes
from relforge.evaluation.label_points import (
    Labels,
    Measured,
    count_points,
    measure_points,
)
from relforge.evaluation.label_prior import prior_points
from relforge.evaluation.streamed import Point

_BINS = 10
_UNIT = 1 << 48
"""Of scores as whole numbers; a float32 above 2^-24 is one exactly."""


def assess_labels(
    connection: duckdb.DuckDBPyConnection, labels: Labels, threshold: float
) -> dict[str, Any] | None:
    """Everything that the report shows of label quality, as plain values.

    Args:
        connection: has the tables that `labels` names.
        labels: of `label_codes.encode_labels`.
        threshold: the run's own.

    Returns:
        None without gold. Repetitions of a relation count once. `kept` is evaluated as a set. `threshold`,
        `best`, `curve`, `average_precision` and `calibration` are of all scored candidates; `prior` ranks the
        same candidates by frequency alone; `greedy` accepts every candidate, as the published baseline does.
    """
    counted = connection.execute(
        f"""SELECT predicate, count(*) FROM {labels.gold} GROUP BY 1
        ORDER BY min((image_id, subject_box, object_box)), 1"""  # as they appear: means are sums in order
    ).fetchall()
    gold: dict[str, int] = dict(counted)
    if not gold:
        return None

    def measured(rows: str, at: float = 0.0) -> Measured:
        return measure_points(connection, count_points(rows), gold, at)

    greedy, kept = measured(labels.candidates), measured(labels.kept)
    scored = measured(labels.scored, threshold)
    bins = bin_relations(connection, labels.scored)
    points = prior_points(with_classes(labels.scored, labels.boxes), labels.gold, labels.boxes)
    prior = measure_points(connection, points, gold, 0.0)
    return {
        "gold": sum(gold.values()),
        "kept": {
            "relations": kept.rows,
            **kept.all.measures,
            "mean_average_precision": kept.mean_average_precision,
        },
        "scored": {"rows": scored.rows, "mean_average_precision": scored.mean_average_precision},
        "threshold": {"threshold": threshold, **scored.curve.at.measures},
        "best": asdict(scored.curve.best),
        "curve": [asdict(one) for one in scored.curve.points],
        "calibration": [asdict(one) for one in bins],
        "expected_calibration_error": expected_error(bins),
        "greedy": {**greedy.all.measures, "mean_average_precision": greedy.mean_average_precision},
        "prior": {"mean_average_precision": prior.mean_average_precision, **asdict(prior.curve.best)},
        "predicates": _predicates(kept, gold, scored, prior),
        "unknown_predicates": _unknown(kept, gold),
    }


def bin_relations(connection: duckdb.DuckDBPyConnection, rows: str) -> list[Bin]:
    """As `calibration.calibration`. Mean scores are of whole numbers, which add up the same in any order."""
    within = f"least(greatest(trunc(score::DOUBLE * {_BINS}), 0), {_BINS - 1})"
    counts = connection.execute(
        f"""SELECT CASE WHEN isnan(score) THEN 0 ELSE {within} END::INTEGER AS place, count(*),
            sum(CASE WHEN isnan(score) THEN 0 ELSE round(score::DOUBLE * {_UNIT}) END::HUGEINT),
            count_if(is_right)
        FROM {rows} GROUP BY 1 ORDER BY 1"""
    ).fetchall()
    return [
        Bin(
            round(place / _BINS, 6),
            round((place + 1) / _BINS, 6),
            count,
            float(np.float32(total / _UNIT / count)),
            right / count,
        )
        for place, count, total, right in counts
    ]


def _predicates(kept: Measured, gold: dict[str, int], scored: Measured, prior: Measured) -> list[Row]:
    """One row per predicate of the gold, the most frequent first."""
    rows: list[Row] = []
    for name, count in sorted(gold.items(), key=lambda item: (-item[1], item[0])):
        shown, hits = kept.shown.get(name, 0), kept.right.get(name, 0)
        precision = hits / shown if shown else 0.0
        recall = hits / count
        f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
        rows.append(
            {
                "predicate": name,
                "gold": count,
                "kept": shown,
                "right": hits,
                **Point(0.0, precision, recall, f1).measures,
                "average_precision": scored.average_precision[name],
                "prior_average_precision": prior.average_precision[name],
            }
        )
    return rows


def _unknown(kept: Measured, gold: dict[str, int]) -> dict[str, int]:
    """Kept predicates in words that the gold never uses: wrong by wording, whatever they mean."""
    found = [(name, count) for name, count in kept.shown.items() if name not in gold]
    return dict(sorted(found, key=lambda item: (-item[1], item[0])))
