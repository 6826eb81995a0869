"""The classes of a run, as its tables list them."""

from __future__ import annotations

import duckdb

from relforge.reports.datasets import Datasets
from relforge.reports.query import select


def read_listed_classes(connection: duckdb.DuckDBPyConnection, datasets: Datasets) -> dict[str, list[str]]:
    """Class -> the source's own synonyms, of all classes that the source lists or a box has.

    Args:
        connection: has the run's tables; `boxes` is one of them.
    """
    found: dict[str, list[str]] = {}
    if "classes" in datasets:
        rows = select(connection, "SELECT DISTINCT category, synonyms FROM classes ORDER BY 1").to_pylist()
        for row in rows:
            found.setdefault(row["category"], []).extend(row["synonyms"])
    for row in select(connection, "SELECT DISTINCT category FROM boxes ORDER BY 1").to_pylist():
        found.setdefault(row["category"], [])
    return found
