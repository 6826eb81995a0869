"""`relforge inspect PATH`: rows, columns and statistics of a run, a table or a shard."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line, print_table

if TYPE_CHECKING:
    from relforge.reports.datasets import Datasets

Row = Mapping[str, Any]

_HEAD = 10
_MAX_CELL = 60
_BRIEF = ("image_id", "subject", "predicate", "object", "score", "support", "rule", "first_score")
"""Columns of relations shown to people; `--json` has all."""
_STATISTICS = (
    "column_name", "column_type", "count", "approx_unique", "null_percentage", "min", "max", "avg",
)  # fmt: skip


def command(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Run folder, table folder or Parquet file.")],
    table: Annotated[
        str | None, typer.Option(help="Which table of a run folder; default: relations.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Column names and types.")] = False,
    stats: Annotated[
        bool, typer.Option("--stats", help="Rows, and per column: distinct values, nulls, minimum, maximum.")
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
    """Print rows, columns or statistics. Boxes of relations are shown as category#number."""
    from relforge.reports.datasets import find_left_out, open_datasets

    datasets, pointed = open_datasets(path)
    for sentence in find_left_out(path):
        print_line(f"warning: {sentence}", sys.stderr)
    if image is not None:
        return _print_image(datasets, image, as_json)
    if pointed is None and table is None and not (schema or stats or sample or where is not None):
        return _print_overview(path, datasets, as_json)
    name = _check_table(table or pointed, datasets)
    if schema:
        fields = datasets[name].schema
        rows = [(field.name, str(field.type), "" if field.nullable else "not null") for field in fields]
        columns = ("column", "type", "")
        return _print_rows(columns, [dict(zip(columns, row, strict=True)) for row in rows], as_json)
    if stats:
        return _print_statistics(datasets, name, where, as_json)
    return _print_matching(datasets, name, sample, where, limit, as_json)


def _print_overview(path: str, datasets: Datasets, as_json: bool) -> None:
    """Tables and row counts, then the first relations."""
    counts = {name: dataset.count_rows() for name, dataset in datasets.items()}
    if as_json:
        return print_json(counts)
    print_table(("table", "rows"), [(name, f"{count:,}") for name, count in counts.items()], title=path)
    if counts.get("relations"):
        print_line()
        _print_matching(datasets, "relations", None, None, _HEAD, False)
    return None


def _print_statistics(datasets: Datasets, name: str, where: str | None, as_json: bool) -> None:
    from relforge.reports.query import connect, make_readable, select

    rows = f"{make_readable(name, datasets)} WHERE {_condition(where, datasets)}"
    found = select(connect(datasets, direct=where is None), f"SUMMARIZE SELECT * FROM {rows}")
    rows_of_columns = found.select(_STATISTICS).to_pylist()
    if not as_json:  # a list column's extremes can be longer than a line
        rows_of_columns = [{name: _shorten(value) for name, value in row.items()} for row in rows_of_columns]
    _print_rows(_STATISTICS, rows_of_columns, as_json)


def _print_matching(
    datasets: Datasets, name: str, sample: int | None, where: str | None, limit: int | None, as_json: bool
) -> None:
    """Rows under a condition: the first ones, or a sample."""
    from relforge.reports.query import connect, make_readable, quote, select
    from relforge.stages.tables import SORT_KEYS

    connection = connect(datasets, direct=where is None)
    rows = f"{make_readable(name, datasets)} WHERE {_condition(where, datasets)}"
    total = select(connection, f"SELECT count(*) AS n FROM {rows}")["n"][0].as_py()
    columns = [quote(column) for column in datasets[name].schema.names if column != "bytes"]
    order = [f"hash({', '.join(columns)})"] if sample else list(SORT_KEYS.get(name, columns))
    shown = sample or (_HEAD if limit is None and not as_json else limit)
    found = select(
        connection,
        f"SELECT * FROM {rows} ORDER BY {', '.join(order)}" + ("" if shown is None else f" LIMIT {shown}"),
    )
    brief = not as_json and "subject_box" in found.column_names
    names = [one for one in found.column_names if one in _BRIEF or not brief]
    _print_rows(names, found.to_pylist(), as_json)
    if not as_json:
        condition = " where the condition holds" if where is not None else ""
        print_line(f"{found.num_rows:,} of {total:,} rows of {name}{condition}")


def _condition(where: str | None, datasets: Datasets) -> str:
    """The user's condition as one SQL expression; every row where there is none."""
    from relforge.reports.condition import check_condition

    return "true" if where is None else check_condition(where, datasets)


def _print_image(datasets: Datasets, image_id: str, as_json: bool) -> None:
    """Boxes, captions, triplets, and the relations with the captions that state them.

    Raises:
        BadInput: no table has the image.
    """
    from relforge.reports.query import connect, make_readable, select

    connection = connect(datasets, direct=True)
    with_image = [name for name, dataset in datasets.items() if "image_id" in dataset.schema.names]
    found: dict[str, list[Row]] = {}
    for name in with_image:
        sql = f"SELECT * FROM {make_readable(name, datasets)} WHERE image_id = ?"
        if rows := select(connection, sql, [image_id]).to_pylist():
            found[name] = rows
    if not found:
        raise BadInput(f"no image {image_id!r} here; `relforge inspect RUN --table images` lists them")
    if as_json:
        return print_json(found)
    for row in found.get("images", ()):
        where = row["uri"] or "(no image file)"
        print_line(f"image {image_id}: {row['width']} x {row['height']} {where}")
    for row in found.get("boxes", ()):
        box = ", ".join(f"{row[side]:g}" for side in "xywh")
        print_line(f"  {row['category']}#{row['box_id']} [{box}]{' crowd' if row['iscrowd'] else ''}")
    texts = {row["caption_id"]: row["text"] for row in found.get("captions", ())}
    _print_list("captions", [f"{number}: {text}" for number, text in texts.items()])
    parsed = [
        f"{row['caption_id']}: {row['subject']} | {row['predicate']} | {row['object']}"
        for row in found.get("triplets", ())
    ]
    _print_list("triplets", parsed)
    table = next((name for name in ("relations", "scores", "proposed", "candidates") if name in found), None)
    if table:
        _print_list(table, [describe_relation(row, texts) for row in found[table]])
    return None


def describe_relation(row: Row, texts: Mapping[int, str]) -> str:
    """`person#0 riding horse#1  0.87  (2 captions: "a man riding a horse")`.

    Where relations are chosen by the learnt quality, `0.87, quality 0.93`.
    """
    score = f"  {row['score']:.2f}" if "score" in row else ""
    if row.get("quality") is not None:
        score += f", quality {row['quality']:.2f}"
    text = texts.get(row["caption_ids"][0]) if row["caption_ids"] else None
    evidence = f'  ({row["support"]} caption{"s" * (row["support"] != 1)}: "{text}")' if text else ""
    return f"{row['subject']} {row['predicate']} {row['object']}{score}{evidence}"


def _check_table(name: str | None, datasets: Datasets) -> str:
    wanted = name or "relations"
    if wanted not in datasets:
        there = ", ".join(datasets) or "none yet"
        raise BadInput(f"no committed shards of table {wanted!r}; there are: {there} (choose with --table)")
    return wanted


def _print_rows(columns: Sequence[str], rows: Sequence[Row], as_json: bool) -> None:
    if as_json:
        print_json(rows)
    else:
        print_table(columns, [[row[name] for name in columns] for row in rows])


def _shorten(value: object) -> object:
    return value[:_MAX_CELL] + "…" if isinstance(value, str) and len(value) > _MAX_CELL else value


def _print_list(title: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    print_line(f"{title}:" if lines else f"{title}: none")
    for line in lines:
        print_line(f"  {line}")
