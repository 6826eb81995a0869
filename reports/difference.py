"""Differences between two runs: their configs, and their relations by identity and score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from relforge.evaluation.label_codes import LabelCodes
from relforge.pipeline.errors import RunError
from relforge.pipeline.store.run_folder import RunFolder
from relforge.reports.datasets import Datasets, open_datasets
from relforge.reports.query import connect, make_readable, quote_all, select

_KEYS = "image_id, subject_box, predicate, object_box"
_KINDS = """a.here AS in_a, b.here AS in_b, in_a IS NULL AS added, in_b IS NULL AS removed,
    coalesce(abs(a.score - b.score) > {tolerance:.17g}, false) AS rescored"""
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
    runs = [_open(run) for run in (run_a, run_b)]
    tables = {
        f"{name}_{side}": datasets[name]
        for side, datasets in zip("ab", runs, strict=True)
        for name in ("relations", "boxes")
        if name in datasets
    }
    connection = connect(tables, direct=True)
    kinds = _KINDS.format(tolerance=tolerance)
    codes = LabelCodes(connection, ["relations_a", "relations_b"])
    sides = [f"{codes.number(f'relations_{side}', ', score, true AS here')} {side}" for side in "ab"]
    sums = ", ".join(f"coalesce(count_if({name}), 0)::BIGINT AS {name}" for name in _COUNTS)
    first = ", ".join(f"min(image_id, {examples or 1}) FILTER ({kind}) AS {kind}_in" for kind in _COUNTS[2:])
    rows = select(
        connection,
        f"""SELECT predicate, {sums}, {first} FROM (
            SELECT predicate, image_id, {kinds} FROM {" FULL JOIN ".join(sides)} USING ({_KEYS})
        ) GROUP BY predicate""",
    ).to_pylist()
    totals = {name: sum(row[name] for row in rows) for name in _COUNTS}
    changed = [row for row in rows if _changes(row)]
    changed.sort(key=lambda row: (-_changes(row), row["predicate"]))
    first_in = [sorted(one for row in rows for one in row[f"{kind}_in"] or ()) for kind in _COUNTS[2:]]
    images = codes.texts(one for found in first_in for one in found[:examples])
    shown: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _COUNTS[2:]}
    if images:
        _write_changes(connection, tables, kinds, images)
        columns = "image_id, subject, predicate, object"
        for kind in shown:
            sql = f"SELECT {columns} FROM changes WHERE {kind} ORDER BY {columns} LIMIT {examples}"
            shown[kind] = select(connection, sql).to_pylist()
    unchanged = totals["in_a"] - totals["removed"] - totals["rescored"]
    return {
        "config": _differing(*configs),
        "relations": {"in A": totals["in_a"], "in B": totals["in_b"], "unchanged": unchanged}
        | {name: totals[name] for name in _COUNTS[2:]},
        "predicates": [{name: row[name] for name in ("predicate", *_COUNTS)} for row in changed[:examples]],
        "examples": shown,
    }


def _open(run: str) -> Datasets:
    datasets, _ = open_datasets(run)
    if "relations" not in datasets:
        raise RunError(f"{run} has no committed relations yet; finish it with relforge run")
    return datasets


def _changes(row: dict[str, Any]) -> int:
    return sum(row[name] for name in _COUNTS[2:])


def _write_changes(
    connection: duckdb.DuckDBPyConnection, tables: Datasets, kinds: str, images: Sequence[str]
) -> None:
    """Write the table `changes`: the relations of these images, as texts, with what became of them."""
    there = quote_all(images)
    sides = []
    for side in "ab":
        rows = make_readable(f"relations_{side}", tables, boxes=f"boxes_{side}")
        sides.append(f"(SELECT *, true AS here FROM {rows} WHERE image_id IN {there}) {side}")
    named = ", ".join(f"coalesce(a.{end}, b.{end}) AS {end}" for end in ("subject", "predicate", "object"))
    connection.execute(
        f"""CREATE TEMP TABLE changes AS
        SELECT image_id, {named}, {kinds} FROM {" FULL JOIN ".join(sides)} USING ({_KEYS})"""
    )


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
