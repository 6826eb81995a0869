"""Labels of a run beside its gold, as points (predicate, score, rows, right) that DuckDB counts.

All joins are here; what leaves the database is counted by score, or streamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import numpy as np

from relforge.evaluation.streamed import BLOCK, Columns, Point, Thinned, average_precision, thin

KEYS = "image_id, subject_box, object_box, predicate"
_CURVE_POINTS = 200
_SUMS = "sum(n)::BIGINT AS n, sum(hits)::BIGINT AS hits"
_FALLING, _RISING = "isnan(score), score DESC", "isnan(score) DESC, score"
"""What is no number ranks last."""


@dataclass(frozen=True)
class Labels:
    """Tables of a connection, or sub-queries in parentheses.

    Args:
        candidates: what matching found: pair columns.
        scored: every scored candidate: pair columns and `score` (float32).
        kept: the relations that were kept: the same columns.
        gold: pair columns.
        confidence: the relations that were kept, with what they were chosen by as `score`.
        boxes: `image_id`, `box_id`, `category`.
        grounded: what was given to the tagger: pair columns; None where that is the candidates.
    """

    candidates: str
    scored: str
    kept: str
    gold: str
    confidence: str
    boxes: str = "boxes"
    grounded: str | None = None


@dataclass(frozen=True)
class Measured:
    """Relations beside gold.

    Args:
        rows: distinct relations.
        curve: over all of them.
        shown, right: predicate -> relations, and those in the gold.
        average_precision: predicate -> AP (all-point), over predicates that the gold has.
    """

    rows: int
    curve: Thinned
    shown: dict[str, int]
    right: dict[str, int]
    average_precision: dict[str, float]

    @property
    def mean_average_precision(self) -> float:
        """Mean over the gold's predicates; one that was never proposed counts 0."""
        values = list(self.average_precision.values())
        return float(np.mean(values)) if values else 0.0

    @property
    def all(self) -> Point:
        """Of everything that scores 0 or more."""
        return self.curve.at


def count_points(rows: str) -> str:
    """Points of relations with `predicate`, `score` and `is_right`, as a sub-query."""
    return f"(SELECT predicate, score, 1 AS n, is_right::INTEGER AS hits FROM {rows})"


def measure_points(
    connection: duckdb.DuckDBPyConnection, points: str, gold: dict[str, int], threshold: float
) -> Measured:
    """Curve, counts and average precisions of points.

    Args:
        points: sub-query with `predicate`, `score`, `n` and `hits`; may have a score more than once.
        gold: predicate -> number of gold relations.
        threshold: of the curve's `at`.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE points AS SELECT predicate, score, {_SUMS} FROM {points} GROUP BY 1, 2"
    )
    of_predicate = connection.execute(
        f"SELECT predicate, count(*), {_SUMS} FROM points GROUP BY 1 ORDER BY 1"
    ).fetchall()
    precisions = dict.fromkeys(gold, 0.0)
    with read(connection, f"SELECT n, hits FROM points ORDER BY predicate, {_RISING}") as ranked:
        for predicate, count, rows, right in of_predicate:
            found = average_precision(ranked, count, rows, right, gold.get(predicate, 0))
            if predicate in gold:
                precisions[predicate] = found
    connection.execute(f"CREATE OR REPLACE TEMP TABLE points AS SELECT score, {_SUMS} FROM points GROUP BY 1")
    [(count,)] = connection.execute("SELECT count(*) FROM points").fetchall()
    with read(connection, f"SELECT * FROM points ORDER BY {_FALLING}") as curve:
        thinned = thin(curve, count, sum(gold.values()), threshold, _CURVE_POINTS)
    connection.execute("DROP TABLE points")
    return Measured(
        rows=sum(row[2] for row in of_predicate),
        curve=thinned,
        shown={row[0]: row[2] for row in of_predicate},
        right={row[0]: row[3] for row in of_predicate},
        average_precision=precisions,
    )


@contextmanager
def read(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[Columns]:
    """A query's columns, as they come; another query can run afterwards."""
    with connection.sql(sql).to_arrow_reader(BLOCK) as reader:
        yield Columns(reader)
