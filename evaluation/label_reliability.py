"""How far the confidence of kept relations can be trusted: reliability, and precision at coverage."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import duckdb

from relforge.evaluation.calibration import expected_error
from relforge.evaluation.label_points import Labels
from relforge.evaluation.label_quality import bin_relations

_TENTHS = 10
_PLACES = 10_000
"""Parts of 0 to 1 that scores are counted by, to find those about a tenth."""
_SHARES = tuple(number / _TENTHS for number in range(1, _TENTHS + 1))


def assess_reliability(connection: duckdb.DuckDBPyConnection, labels: Labels) -> dict[str, Any] | None:
    """Kept relations by their confidence: `quality` where select learnt it, else the score.

    Args:
        labels: of `label_codes.encode_labels`.

    Returns:
        None without gold or without relations; else `bins` (as `calibration.Bin`),
        `expected_calibration_error`, and `coverage`: for each tenth of the relations, the most confident
        first, `coverage` (equal confidences together), `threshold`, and `precision`.
    """
    confident = f"(FROM {labels.confidence} WHERE NOT isnan(score))"
    [(gold, rows)] = connection.execute(
        f"SELECT (SELECT count(*) FROM {labels.gold}), (SELECT count(*) FROM {confident})"
    ).fetchall()
    if not gold or not rows:
        return None
    bins = bin_relations(connection, confident)
    return {
        "bins": [asdict(one) for one in bins],
        "expected_calibration_error": expected_error(bins),
        "coverage": _coverage(connection, confident, rows),
    }


def _coverage(connection: duckdb.DuckDBPyConnection, confident: str, rows: int) -> list[dict[str, float]]:
    shares = ", ".join(f"({share})" for share in _SHARES)
    place = f"round(least(greatest(score, 0), 1) * {_PLACES})::INTEGER"
    # points are made of the scores about each tenth alone
    found = connection.execute(
        f"""WITH rows AS (SELECT score, is_right, {place} AS place FROM {confident}),
            places AS (SELECT place, count(*) AS own, count_if(is_right) AS hits FROM rows GROUP BY 1),
            above AS (SELECT place, own, sum(own) OVER falling - own AS n,
                    sum(hits) OVER falling - hits AS hits
                FROM places WINDOW falling AS (ORDER BY place DESC)),
            crossed AS (FROM above WHERE (n + own) * {_TENTHS} // {rows} > n * {_TENTHS} // {rows}),
            points AS (SELECT place, score, count(*) AS own, count_if(is_right) AS hits
                FROM rows SEMI JOIN crossed USING (place) GROUP BY 1, 2),
            kept AS (SELECT score, above.n + sum(points.own) OVER falling AS n,
                    above.hits + sum(points.hits) OVER falling AS hits
                FROM points JOIN crossed above USING (place)
                WINDOW falling AS (PARTITION BY place ORDER BY score DESC))
        SELECT share, min(n)::BIGINT, max(score), min_by(hits, n)::BIGINT
        FROM kept JOIN (VALUES {shares}) wanted(share) ON n >= share * {rows} GROUP BY 1 ORDER BY 1"""
    ).fetchall()
    return [
        {"coverage": count / rows, "threshold": score, "precision": hits / count}
        for _, count, score, hits in found
    ]
