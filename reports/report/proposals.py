"""Relations that nobody said, counted apart from what captions say."""

from __future__ import annotations

from typing import Any

import duckdb

from relforge.reports.datasets import Datasets
from relforge.reports.query import select
from relforge.stages.propose.prior import RULE

COLUMNS = ("table", "said by captions", "proposed", "right of those said", "right of proposed")


def find_proposals(connection: duckdb.DuckDBPyConnection, datasets: Datasets) -> list[dict[str, Any]]:
    """Rows of every table that has proposals, by who they are from.

    Returns:
        of `proposed`, `scores` and `relations`: `table`, `said`, `proposed`, `said_right` and
        `proposed_right` (shares that the gold has, None without); nothing where the run does not propose.
    """
    if "proposed" not in datasets:
        return []
    keys = "image_id, subject_box, predicate, object_box"
    gold = "gold" in datasets and datasets["gold"].count_rows() > 0
    found = []
    for table in ("proposed", "scores", "relations"):
        if table not in datasets:
            continue
        rows = f"(SELECT {keys}, rule = '{RULE}' AS ours FROM {table})"
        if gold:
            hit = f"(SELECT DISTINCT {keys}, true AS hit FROM gold)"
            rows = f"(SELECT ours, coalesce(hit, false) AS hit FROM {rows} LEFT JOIN {hit} USING ({keys}))"
        shares = [
            f"(count_if({which} AND hit) / nullif(count_if({which}), 0))::DOUBLE" if gold else "NULL::DOUBLE"
            for which in ("NOT ours", "ours")
        ]
        [counts] = select(
            connection,
            f"""SELECT count_if(NOT ours)::BIGINT AS said, count_if(ours)::BIGINT AS proposed,
            {shares[0]} AS said_right, {shares[1]} AS proposed_right FROM {rows}""",
        ).to_pylist()
        found.append({"table": table, **counts})
    return found


def list_proposals(found: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Rows of a table under `COLUMNS`."""
    return [tuple(row.values()) for row in found]
