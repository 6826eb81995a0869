"""How far people who corrected a run agree with its labels."""

from __future__ import annotations

from typing import Any

import duckdb

from relforge.reports.datasets import Datasets
from relforge.reports.query import select

COLUMNS = ("judged by people", "right", "removed", "added", "precision", "recall")
_BINS = 5
_COUNTS = """count_if(verdict = 'right')::BIGINT AS "right", count_if(verdict = 'removed')::BIGINT AS removed,
    count_if(verdict = 'added')::BIGINT AS added"""


def find_agreement(connection: duckdb.DuckDBPyConnection, datasets: Datasets) -> dict[str, Any] | None:
    """Counts of the table `corrections`.

    Returns:
        None where nobody corrected the run; else `images`, and rows of `name`, `right`, `removed`, `added`,
        `precision` (of what was shown, the share that people left) and `recall` (of what they left, the share
        that was shown): `total`, `predicates` (the most corrected first) and `scores` (by the score shown);
        and `boxes`: `right`, `changed`, `removed` and `added`, None where only relations were judged.
    """
    if "corrections" not in datasets:
        return None
    judged = [name for name in ("corrections", "corrected_boxes") if name in datasets]
    ids = " UNION ".join(f"SELECT image_id FROM {name}" for name in judged)
    images = select(connection, f"SELECT count(*)::BIGINT AS n FROM ({ids})")["n"][0].as_py()
    boxes = None
    if "corrected_boxes" in datasets:
        counts = f"{_COUNTS}, count_if(verdict = 'changed')::BIGINT AS changed"
        [boxes] = select(connection, f"SELECT {counts} FROM corrected_boxes").to_pylist()
    total = select(connection, f"SELECT 'all' AS name, {_COUNTS} FROM corrections").to_pylist()
    predicates = select(
        connection,
        f"SELECT predicate AS name, {_COUNTS} FROM corrections GROUP BY 1 "
        "ORDER BY count_if(verdict != 'right') DESC, count(*) DESC, name",
    ).to_pylist()
    place = f"least(floor(score * {_BINS}), {_BINS - 1})"
    scores = select(
        connection,
        f"SELECT {place} AS place, {_COUNTS} FROM corrections WHERE score IS NOT NULL GROUP BY 1 ORDER BY 1",
    ).to_pylist()
    for row in scores:
        low = row.pop("place") / _BINS
        row["name"] = f"score {low:.1f} to {low + 1 / _BINS:.1f}"
    rated = [[_rate(row) for row in rows] for rows in (total, predicates, scores)]
    return {
        "images": images,
        "total": rated[0][0],
        "predicates": rated[1],
        "scores": rated[2],
        "boxes": boxes,
    }


def _rate(row: dict[str, Any]) -> dict[str, Any]:
    shown, wanted = row["right"] + row["removed"], row["right"] + row["added"]
    rates = {
        "precision": row["right"] / shown if shown else None,
        "recall": row["right"] / wanted if wanted else None,
    }
    return row | rates


def list_agreement(found: dict[str, Any], most: int) -> list[tuple[object, ...]]:
    """Rows of a table under `COLUMNS`: in all, by score, and the predicates that were corrected most.

    Args:
        most: predicates.
    """
    keys = ("name", "right", "removed", "added", "precision", "recall")
    rows = [found["total"], *found["scores"], *found["predicates"][:most]]
    return [tuple(row[key] for key in keys) for row in rows]


def describe_agreement(found: dict[str, Any]) -> str:
    """One sentence, and one of boxes."""
    total, boxes = found["total"], found["boxes"]
    shown = total["right"] + total["removed"]
    of_relations = (
        f"people judged {found['images']:,} images: of {shown:,} relations shown they left "
        f"{total['right']:,}, and they added {total['added']:,}"
    )
    if boxes is None:
        return of_relations
    there = boxes["right"] + boxes["changed"] + boxes["removed"]
    return (
        f"{of_relations}; of {there:,} boxes they left {boxes['right']:,}, changed {boxes['changed']:,} and "
        f"removed {boxes['removed']:,}, and they added {boxes['added']:,}"
    )
