"""How far a second round agrees with the one that its model learnt from."""

from __future__ import annotations

from typing import Any

import duckdb

from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.survey import Survey
from relforge.reports.datasets import Datasets
from relforge.reports.query import select
from relforge.stages.relabel.table import NAME

COLUMNS = (
    "relations of this round",
    "relations",
    "in the first round",
    "new",
    "right of those",
    "right of new",
)
_BOTH, _NEW = "first_score IS NOT NULL", "first_score IS NULL"


def find_rounds(
    connection: duckdb.DuckDBPyConnection, datasets: Datasets, plan: Plan, survey: Survey
) -> dict[str, Any] | None:
    """Relations of both rounds, counted.

    Returns:
        None where the run relabels nothing; else `first_round` (the run folder), `model`, `first` (how many
        relations the first round has), `missing` (those of them that this round has not), and rows of `name`,
        `relations`, `both`, `new`, `both_right` and `new_right` (shares that the gold has, None without):
        `total` and `predicates`, the most frequent first.
    """
    spec = next((one for one in plan.job.stages if one.name == "relabel"), None)
    if spec is None or NAME not in datasets or "relations" not in datasets:
        return None
    sidecars = [one.sidecar for one in survey.entries.get(NAME, {}).values() if not one.problem]
    first = sum(one.notes.get("first_relations", 0) for one in sidecars if one)
    keys = "image_id, subject_box, predicate, object_box"
    has_gold = "gold" in datasets and datasets["gold"].count_rows() > 0
    gold = f"(SELECT DISTINCT {keys}, true AS hit FROM gold)" if has_gold else ""
    joined = f"""(SELECT r.predicate, f.first_score, {"coalesce(g.hit, false)" if gold else "NULL"} AS hit
        FROM (SELECT DISTINCT {keys} FROM relations) r LEFT JOIN {NAME} f USING ({keys})
        {f"LEFT JOIN {gold} g USING ({keys})" if gold else ""})"""
    right = [
        f"(count_if(hit AND {which}) / nullif(count_if({which}), 0))::DOUBLE" if gold else "NULL"
        for which in (_BOTH, _NEW)
    ]
    counts = f"""count(*)::BIGINT AS relations, count_if({_BOTH})::BIGINT AS "both",
        count_if({_NEW})::BIGINT AS "new", {right[0]} AS both_right, {right[1]} AS new_right"""
    [total] = select(connection, f"SELECT 'all' AS name, {counts} FROM {joined}").to_pylist()
    predicates = select(
        connection, f"SELECT predicate AS name, {counts} FROM {joined} GROUP BY 1 ORDER BY 2 DESC, 1"
    ).to_pylist()
    return {
        "first_round": spec.options["first_round"],
        "model": spec.options["model"],
        "first": first,
        "missing": first - total["both"],
        "total": total,
        "predicates": predicates,
    }


def list_rounds(found: dict[str, Any], most: int) -> list[tuple[object, ...]]:
    """Rows of a table under `COLUMNS`: in all, and the commonest predicates.

    Args:
        most: predicates.
    """
    keys = ("name", "relations", "both", "new", "both_right", "new_right")
    return [tuple(row[key] for key in keys) for row in (found["total"], *found["predicates"][:most])]


def describe_rounds(found: dict[str, Any]) -> str:
    """One sentence."""
    total = found["total"]
    return (
        f"{found['model']} relabelled the boxes of {found['first_round']}: of {found['first']:,} relations "
        f"there it keeps {total['both']:,} and leaves {found['missing']:,} out, and {total['new']:,} are new"
    )
