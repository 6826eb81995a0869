"""Columns of Arrow tables that other programs wrote: cells of any type, as what the tables need.

A column of the right type is converted as a whole; one of another type cell by cell, so that a cell that is
no such value is one bad record.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.ingest.ids import Ids
from relforge.stages.ingest.values import as_flag, as_number, as_pixels, as_text

_BROKEN = object()
"""In place of a cell that is no value: text that is not UTF-8, a date that no calendar has."""


def read_cells(column: pa.ChunkedArray) -> list[Any]:
    """Every cell as Python has it; bytes as text, decimals as numbers."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column.to_pylist()
    return [_cell(scalar) for chunk in column.chunks for scalar in chunk]


def _cell(scalar: pa.Scalar) -> Any:
    try:
        value = scalar.as_py()
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, Decimal):
            return int(value) if value == value.to_integral_value() else float(value)
    except (ValueError, OverflowError, ArithmeticError, pa.ArrowException):
        return _BROKEN
    return value


def read_texts(column: pa.ChunkedArray) -> list[str | None]:
    """Texts, integers in decimal; None for anything else."""
    texts = (str(cell) if type(cell) is int else as_text(cell) for cell in read_cells(column))
    return [text if text and text.strip() else None for text in texts]


def read_ids(column: pa.ChunkedArray, ids: Ids) -> np.ndarray:
    """N id codes, `ids.NONE` for what is no id."""
    if pa.types.is_signed_integer(column.type) and not column.null_count:
        return ids.codes(column.to_numpy().astype(np.int64))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
        found = ids.codes_of(read_cells(pa.chunked_array([encoded.dictionary])))
        return found[encoded.indices.to_numpy()] if len(column) else np.empty(0, np.int64)
    return ids.codes_of(read_cells(column))


def read_numbers(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """N float64, NaN where there is none; and N bool, whether there is something else than a number."""
    if pa.types.is_float64(column.type) or pa.types.is_float32(column.type):
        return pc.fill_null(pc.cast(column, pa.float64()), float("nan")).to_numpy(), np.zeros(
            len(column), bool
        )
    cells = read_cells(column)
    numbers = [as_number(cell) for cell in cells]
    found = np.array([np.nan if number is None else number for number in numbers], np.float64)
    wrong = [number is None and cell is not None for number, cell in zip(numbers, cells, strict=True)]
    return found, np.array(wrong, bool)


def read_pixels(column: pa.ChunkedArray) -> np.ndarray:
    """N int32, positive numbers of pixels; 0 for anything else."""
    return np.array([as_pixels(cell) for cell in read_cells(column)], np.int32)


def read_flags(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """N bool; and N bool, whether there is something else than a flag."""
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column, False).to_numpy(), np.zeros(len(column), bool)
    flags = [as_flag(cell) for cell in read_cells(column)]
    return np.array([bool(flag) for flag in flags], bool), np.array([flag is None for flag in flags], bool)
