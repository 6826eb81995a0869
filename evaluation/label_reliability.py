"""How far the confidence of kept relations can be trusted: reliability, and precision at coverage."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import duckdb

from relforge.evaluation.calibration import expected_error
from relforge.evaluation.label_points import KEYS, Labels, count_points, mark_relations
from relforge.evaluation.label_quality import bin_relations

_SHARES = tuple(number / 10 for number in range(1, 11))


def assess_reliability(connection: duckdb.DuckDBPyConnection, labels: Labels) -> dict[str, Any] | None:
    """Kept relations by their confidence: `quality` where select learnt it, else the score.

    Returns:
        None without gold or without relations; else `bins` (as `calibration.Bin`),
        `expected_calibration_error`, and `coverage`: for each tenth of the relations, the most confident
        first, `coverage` (equal confidences together), `threshold`, and `precision`.
    """
    connection.execute(f"CREATE OR REPLACE TEMP TABLE gold_once AS SELECT DISTINCT {KEYS} FROM {labels.gold}")
    marked = mark_relations(labels.confidence, "gold_once")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE confident AS FROM {marked} WHERE NOT isnan(score)")
    [(gold, rows)] = connection.execute(
        "SELECT (SELECT count(*) FROM gold_once), (SELECT count(*) FROM confident)"
    ).fetchall()
    found = None
    if gold and rows:
        bins = bin_relations(connection, "confident")
        found = {
            "bins": [asdict(one) for one in bins],
            "expected_calibration_error": expected_error(bins),
            "coverage": _coverage(connection, rows),
        }
    for name in ("confident", "gold_once"):
        connection.execute(f"DROP TABLE {name}")
    return found


def _coverage(connection: duckdb.DuckDBPyConnection, rows: int) -> list[dict[str, float]]:
    shares = ", ".join(f"({share})" for share in _SHARES)
    found = connection.execute(
        f"""WITH points AS (SELECT score, sum(n) AS n, sum(hits) AS hits
                FROM {count_points("confident")} GROUP BY 1),
            kept AS (SELECT score, sum(n) OVER falling AS n, sum(hits) OVER falling AS hits
                FROM points WINDOW falling AS (ORDER BY score DESC))
        SELECT share, min(n)::BIGINT, max(score), min_by(hits, n)::BIGINT
        FROM kept JOIN (VALUES {shares}) wanted(share) ON n >= share * {rows} GROUP BY 1 ORDER BY 1"""
    ).fetchall()
    return [
        {"coverage": count / rows, "threshold": score, "precision": hits / count}
        for _, count, score, hits in found
    ]
