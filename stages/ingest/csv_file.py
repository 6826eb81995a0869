"""The named columns of a CSV file, whatever its cells hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from csv import Error as CsvError
from csv import reader
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
from pyarrow import csv

from relforge.stages.contract import SourceError
from relforge.stages.ingest.columns import read_cells
from relforge.stages.ingest.values import as_flag, as_integer, as_number, as_text

MALFORMED = "malformed"
"""The column that marks for each row whether a cell of it is no value of its column's type."""

_EMPTY = {"", "na", "n/a", "nan", "null", "none"}
_INFINITE = {"inf", "+inf", "-inf", "infinity", "-infinity"}


def read_csv(
    path: str,
    columns: Mapping[str, pa.DataType],
    optional: Collection[str] = (),
    flags: Collection[str] = (),
    header: bool = True,
) -> pa.Table:
    """The named columns, and `MALFORMED`. A cell that is not of its column's type is null.

    Args:
        path: or URI.
        columns: name -> text, floating point or integer.
        optional: those that are null where the file has none.
        flags: those of integers where `true` and `false` are 1 and 0.
        header: whether the first line names the columns; else they are those of `columns`.

    Raises:
        SourceError: the file cannot be read, lacks a column, or has no value in a needed one.
    """
    try:
        with fsspec.open(path, "rb") as file:
            names = _header(file) if header else list(columns)
            if missing := [name for name in columns if name not in names and name not in optional]:
                raise SourceError(f"{path}: no column {', '.join(missing)}; is it another kind of file?")
            if twice := [name for name in columns if names.count(name) > 1]:
                raise SourceError(f"{path}: the column {twice[0]} is given twice; keep one")
            try:
                table = _parse(file, columns, header, columns)
                table = table.append_column(MALFORMED, pa.repeat(False, table.num_rows))
            except pa.ArrowInvalid:
                file.seek(0)
                cells = _parse(file, columns, header, dict.fromkeys(columns, pa.binary()))
                table = _convert(cells, columns, flags, [name for name in columns if name in names])
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot read the CSV file ({' '.join(str(error).split())})") from error
    for name in columns:
        if table.num_rows and table[name].null_count == table.num_rows and name not in optional:
            raise SourceError(f"{path}: no values in column {name!r}; is it another kind of file?")
    return table


def _parse(
    file: BinaryIO, columns: Mapping[str, pa.DataType], header: bool, types: Mapping[str, pa.DataType]
) -> pa.Table:
    return csv.read_csv(
        file,
        csv.ReadOptions(column_names=None if header else list(columns)),
        convert_options=csv.ConvertOptions(
            column_types=dict(types),
            include_columns=list(columns),
            include_missing_columns=True,
            strings_can_be_null=False,
        ),
    )


def _convert(
    cells: pa.Table, columns: Mapping[str, pa.DataType], flags: Collection[str], there: Collection[str]
) -> pa.Table:
    malformed = [False] * cells.num_rows
    found = {}
    for name, kind in columns.items():
        values = [
            _value(cell, kind, name in flags) if name in there else None for cell in read_cells(cells[name])
        ]
        malformed = [old or value is _WRONG for old, value in zip(malformed, values, strict=True)]
        found[name] = pa.array([None if value is _WRONG else value for value in values], kind)
    return pa.table(found | {MALFORMED: pa.array(malformed, pa.bool_())})


_WRONG = object()


def _value(cell: object, kind: pa.DataType, flag: bool) -> Any:
    text = as_text(cell)
    if text is None:
        return _WRONG
    if pa.types.is_string(kind):
        return text
    if text.strip().lower() in _EMPTY:
        return None
    if flag and as_flag(text) is not None:
        return int(bool(as_flag(text)))
    number = float(text) if text.strip().lower() in _INFINITE else as_number(text)
    if number is None or pa.types.is_floating(kind):
        return _WRONG if number is None else number
    integer = as_integer(number)
    return _WRONG if integer is None or abs(integer) >= 2 ** (kind.bit_width - 1) else integer


def _header(file: BinaryIO) -> list[str]:
    """The column names of a CSV file, which is read again from its beginning afterwards."""
    line = file.readline().decode("utf-8-sig", "replace")
    file.seek(0)
    try:
        return next(reader([line]), [])
    except CsvError as error:
        raise OSError(f"its first line names no columns: {error}") from error
