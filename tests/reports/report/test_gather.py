"""Frequencies and histograms of the report."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from relforge.reports.report.gather import count_values, histogram


def connection(**columns: list[object]) -> duckdb.DuckDBPyConnection:
    found = duckdb.connect()
    found.register("rows", pa.table(columns))
    return found


def test_the_most_frequent_come_first_and_ties_by_name() -> None:
    rows = connection(predicate=["on", "near", "on", "in"])

    found = count_values(rows, "rows", ("predicate",), 2)

    assert found == [{"predicate": "on", "count": 2}, {"predicate": "in", "count": 1}]


def test_a_score_of_one_is_in_the_last_bin() -> None:
    assert histogram(connection(score=[0.0, 0.1, 1.0]), "rows", bins=4) == [2, 0, 0, 1]
