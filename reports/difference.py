"""Differences between two runs: their configs, and their relations by identity and score."""

from __future__ import annotations

from typing import Any

import duckdb

from relforge.pipeline.errors import RunError
from relforge.pipeline.store.run_folder import RunFolder
from relforge.reports.datasets import open_datasets
from relforge.reports.query import connect, make_readable, select

_JOINED = """
    SELECT coalesce(a.image_id, b.image_id) AS image_id, coalesce(a.subject, b.subject) AS subject,
        coalesce(a.predicate, b.predicate) AS predicate, coalesce(a.object, b.object) AS object,
        a.relation_id IS NOT NULL AS in_a, b.relation_id IS NOT NULL AS in_b,
        NOT in_a AS added, NOT in_b AS removed,
        in_a AND in_b AND abs(a.score - b.score) > {tolerance:.17g} AS rescored
    FROM a FULL JOIN b USING (image_id, subject_box, predicate, object_box)
"""
_COUNTS = ("in_a", "in_b", "added", "removed", "rescored")


def compare_runs(run_a: str, run_b: str, tolerance: float, examples: int) -> dict[str, Any]:
    """Compare two runs.

    Args:
        tolerance: largest score difference that counts as equal.
        examples: how many predicates and how many relations of each kind to list.

    Returns:
        `config` (dotted key -> values in A and B, where they differ), `relations` (counts in A, in B,
        unchanged, added, removed, rescored), `predicates` (the most changed first), `examples`.

    Raises:
        RunError: not run folders, or one of them has no relations yet.
    """
    configs = [_flat(RunFolder(run).record()["job"]) for run in (run_a, run_b)]
    connection = connect({})
    for name, run in (("a", run_a), ("b", run_b)):
        datasets, _ = open_datasets(run)
        if "relations" not in datasets:
            raise RunError(f"{run} has no committed relations yet; finish it with relforge run")
        rows = select(connect(datasets), f"SELECT * FROM {make_readable('relations', datasets)}")
        connection.register(name, rows)
    connection.sql(f"CREATE TABLE joined AS {_JOINED.format(tolerance=tolerance)}")
    sums = ", ".join(f"coalesce(count_if({name}), 0)::BIGINT AS {name}" for name in _COUNTS)
    totals = select(connection, f"SELECT {sums} FROM joined").to_pylist()[0]
    changes = "count_if(added) + count_if(removed) + count_if(rescored)"
    unchanged = totals["in_a"] - totals["removed"] - totals["rescored"]
    predicates = select(
        connection,
        f"SELECT predicate, {sums} FROM joined GROUP BY predicate HAVING {changes} > 0 "
        f"ORDER BY {changes} DESC, predicate LIMIT {examples}",
    ).to_pylist()
    return {
        "config": _differing(*configs),
        "relations": {"in A": totals["in_a"], "in B": totals["in_b"], "unchanged": unchanged}
        | {name: totals[name] for name in _COUNTS[2:]},
        "predicates": predicates,
        "examples": {
            kind: _examples(connection, kind, examples) for kind in ("added", "removed", "rescored")
        },
    }


def _examples(connection: duckdb.DuckDBPyConnection, kind: str, limit: int) -> list[dict[str, Any]]:
    columns = "image_id, subject, predicate, object"
    sql = f"SELECT {columns} FROM joined WHERE {kind} ORDER BY {columns} LIMIT {limit}"
    return select(connection, sql).to_pylist()


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    """Nested values under dotted keys; a list of stages counts by stage name."""
    if isinstance(value, list) and value and all(isinstance(one, dict) and "name" in one for one in value):
        value = {one["name"]: one for one in value}
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, object] = {}
    for key, below in value.items():
        if prefix or key not in ("config", "folder"):
            flat |= _flat(below, f"{prefix}.{key}" if prefix else key)
    return flat


def _differing(a: dict[str, object], b: dict[str, object]) -> dict[str, list[object]]:
    return {key: [a.get(key), b.get(key)] for key in sorted(a | b) if a.get(key) != b.get(key)}
