"""`relforge inspect PATH`: look into a run, a table or a shard."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relforge.cli.errors import BadInput
from relforge.cli.output import Json, print_json, print_table

_HEAD = 10
_BRIEF = ("image_id", "subject", "predicate", "object", "score", "support", "rule")
"""Columns of relations shown to people; `--json` has all."""


def command(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Run folder, table folder or Parquet file.")],
    table: Annotated[
        str | None, typer.Option(help="Which table of a run folder; default: relations.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Column names and types.")] = False,
    stats: Annotated[
        bool, typer.Option("--stats", help="Rows, and per column: distinct, nulls, least, most.")
    ] = False,
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="N random rows, the same every time.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="DuckDB condition, e.g. \"predicate LIKE '%on%'\".")
    ] = None,
    image: Annotated[str | None, typer.Option(metavar="ID", help="Everything known about one image.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many rows.")] = None,
    as_json: Json = False,
) -> None:
    """Look into shards. Boxes of relations are shown as category#number."""
    from relforge.reports.datasets import open_datasets

    datasets, pointed = open_datasets(path)
    if image is not None:
        from relforge.cli.image import show_image

        return show_image(datasets, image, as_json)
    if pointed is None and table is None and not (schema or stats or sample or where):
        return _overview(path, datasets, as_json)
    name = _table(table or pointed, datasets)
    if schema:
        fields = datasets[name].schema
        rows = [(field.name, str(field.type), "" if field.nullable else "not null") for field in fields]
        return _show(("column", "type", ""), rows, as_json)
    return _rows(datasets, name, stats, sample, where, limit, as_json)


def _overview(path: str, datasets: Any, as_json: bool) -> None:
    """Tables and row counts, then the first relations."""
    counts = {name: dataset.count_rows() for name, dataset in datasets.items()}
    if as_json:
        return print_json(counts)
    print_table(("table", "rows"), [(name, f"{count:,}") for name, count in counts.items()], title=path)
    if counts.get("relations"):
        print()
        _rows(datasets, "relations", False, None, None, _HEAD, False)
    return None


def _rows(
    datasets: Any,
    name: str,
    stats: bool,
    sample: int | None,
    where: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    from relforge.reports.query import connect, readable, select
    from relforge.stages.tables import SORT_KEYS

    connection = connect(datasets)
    rows = f"{readable(name, datasets)} WHERE {where or 'true'}"
    if stats:
        found = select(connection, f"SUMMARIZE SELECT * FROM {rows}")
        kept = (
            "column_name",
            "column_type",
            "count",
            "approx_unique",
            "null_percentage",
            "min",
            "max",
            "avg",
        )
        return _show(kept, found.select(kept).to_pylist(), as_json)
    total = select(connection, f"SELECT count(*) AS n FROM {rows}")["n"][0].as_py()
    columns = [column for column in datasets[name].schema.names if column != "bytes"]
    order = [f"hash({', '.join(columns)})"] if sample else list(SORT_KEYS.get(name, columns[:1]))
    shown = sample or (_HEAD if limit is None and not as_json else limit)
    found = select(
        connection,
        f"SELECT * FROM {rows} ORDER BY {', '.join(order)}" + ("" if shown is None else f" LIMIT {shown}"),
    )
    brief = not as_json and "subject_box" in found.column_names
    names = [one for one in found.column_names if one in _BRIEF or not brief]
    _show(names, found.to_pylist(), as_json)
    if not as_json:
        print(
            f"{found.num_rows:,} of {total:,} rows of {name}"
            + (" where the condition holds" if where else "")
        )
    return None


def _table(name: str | None, datasets: Any) -> str:
    wanted = name or "relations"
    if wanted not in datasets:
        there = ", ".join(datasets) or "none yet"
        raise BadInput(f"no committed shards of table {wanted!r}; there are: {there} (choose with --table)")
    return wanted


def _show(columns: Any, rows: list[Any], as_json: bool) -> None:
    """Rows as dicts or tuples, under their column names."""
    records = [row if isinstance(row, dict) else dict(zip(columns, row, strict=True)) for row in rows]
    if as_json:
        print_json(records)
    else:
        print_table(list(columns), [[record[name] for name in columns] for record in records])
