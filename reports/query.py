"""SQL over a run folder with DuckDB."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from relforge.reports.datasets import Datasets
from relforge.stages.relabel.table import NAME as FIRST_ROUND

_PAIR = {"image_id", "subject_box", "predicate", "object_box"}
"""Columns of a table whose rows are a relation between two boxes."""


MEMORY = "128MB"
"""What DuckDB holds at most; the rest it writes to a folder of its own in the system's temporary one."""
_MAX_THREADS = 2
"""Each takes memory for the rows that it has at hand."""


_PATTERN = set("*?[{~")
_PLAIN = {pa.string(), pa.binary(), pa.bool_(), pa.int8(), pa.int32(), pa.int64(), pa.float32(), pa.float64()}


class QueryError(ValueError):
    """A condition that DuckDB cannot run; the message is DuckDB's own first sentence."""


def connect(datasets: Datasets, direct: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection in which every table is a view of its own name, and which reaches nothing else.

    No file, no extension, no variable of this program; and no query can change that.

    Args:
        direct: DuckDB opens local Parquet files itself, in half the time and memory that Arrow takes to hand
            them over. A statement could then write to these files, so this is for queries of our own: none
            that has a condition of the user's in it.
    """
    connection = duckdb.connect(
        config={
            "python_enable_replacements": "false",
            "memory_limit": MEMORY,
            "threads": min(len(os.sched_getaffinity(0)), _MAX_THREADS),
            "temp_directory": f"{_scratch().name}/duckdb",
        }
    )
    paths: list[str] = []
    for name, dataset in datasets.items():
        if direct and _can_open(dataset) and _open(connection, name, dataset):
            paths += dataset.files
        else:
            connection.register(name, dataset)
    if paths:
        connection.execute(f"SET allowed_paths = [{quote_all(paths)[1:-1]}]")
    for setting in ("enable_external_access", "autoinstall_known_extensions", "autoload_known_extensions"):
        connection.execute(f"SET {setting} = false")
    connection.execute("SET enable_progress_bar = false")  # it goes to standard output, into JSON
    connection.execute("SET lock_configuration = true")
    return connection


def _can_open(dataset: ds.Dataset) -> bool:
    """Whether DuckDB reads these files as Arrow does: local, of names that are no patterns, plain types."""
    if not isinstance(dataset, ds.FileSystemDataset) or not isinstance(dataset.filesystem, LocalFileSystem):
        return False
    patterns = any(_PATTERN & set(path) for path in dataset.files)
    return not patterns and all(map(_is_plain, dataset.schema.types))


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _is_plain(kind.value_type)
    if pa.types.is_struct(kind):
        return all(_is_plain(kind.field(at).type) for at in range(kind.num_fields))
    return kind in _PLAIN


def _open(connection: duckdb.DuckDBPyConnection, name: str, dataset: ds.FileSystemDataset) -> bool:
    """Make a view of a table's files. Columns that a file of an earlier version lacks are null.

    Returns:
        False where one is damaged: Arrow says so once its rows are asked for.
    """
    rows = (
        f"read_parquet([{quote_all(dataset.files)[1:-1]}], union_by_name = true, hive_partitioning = false)"
    )
    try:
        there = set(connection.sql(f"FROM {rows} LIMIT 0").columns)
    except duckdb.Error:
        return False
    kinds = connection.from_arrow(dataset.schema.empty_table()).types
    columns = [
        f"{quote(column) if column in there else 'NULL'}::{kind} AS {quote(column)}"
        for column, kind in zip(dataset.schema.names, kinds, strict=True)
    ]
    connection.execute(f"CREATE VIEW {quote(name)} AS SELECT {', '.join(columns)} FROM {rows}")
    return True


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """Removed when this process ends."""
    return tempfile.TemporaryDirectory(prefix="relforge-")


def select(connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] = ()) -> pa.Table:
    """Run a query.

    Raises:
        QueryError: a syntax error, an unknown column or table, a type that does not fit.
    """
    try:
        return connection.sql(sql, params=list(values) or None).to_arrow_table()
    except duckdb.Error as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        hints = [line for line in lines[1:] if line.startswith(("Candidate", "Did you mean"))]
        raise QueryError(". ".join(line.rstrip(".!") for line in [lines[0], *hints])) from error


def quote(name: str) -> str:
    """A table or column name as SQL: a name in a run folder or a Parquet file may hold anything."""
    return '"' + name.replace('"', '""') + '"'


def quote_all(values: Iterable[str]) -> str:
    """Texts as a list in SQL; there has to be one."""
    return "(" + ", ".join("'" + one.replace("'", "''") + "'" for one in values) + ")"


def make_readable(table: str, datasets: Datasets, boxes: str = "boxes") -> str:
    """A sub-query over `table` that shows boxes of relations as `category#box_id`.

    Images embedded in the table are left out. Conditions on the table's own columns still work. Scored
    relations of a second round have the column `first_score`, null where the first round has them not.

    Args:
        boxes: the table that has the boxes' categories.
    """
    columns = [name for name in datasets[table].schema.names if name != "bytes"]
    if not set(columns) >= _PAIR or boxes not in datasets:
        return f"(SELECT {', '.join(map(quote, columns))} FROM {quote(table)})"
    own = ", ".join(f"r.{quote(name)}" for name in columns if name not in ("image_id", "predicate"))
    beside = ""
    if "score" in columns and FIRST_ROUND in datasets:
        own += ", f.first_score"
        beside = f"LEFT JOIN {FIRST_ROUND} f USING (image_id, subject_box, predicate, object_box)"
    return f"""(SELECT r.image_id, s.category || '#' || r.subject_box AS subject, r.predicate,
        o.category || '#' || r.object_box AS object, {own}
        FROM {quote(table)} r {beside}
        LEFT JOIN {quote(boxes)} s ON s.image_id = r.image_id AND s.box_id = r.subject_box
        LEFT JOIN {quote(boxes)} o ON o.image_id = r.image_id AND o.box_id = r.object_box)"""
