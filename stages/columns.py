"""Arrow columns as integer codes, the form in which NumPy joins, sorts and groups them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MAX_NUMBER = 2**62


def flatten(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One contiguous array."""
    if isinstance(column, pa.Array):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def encode(column: pa.ChunkedArray | pa.Array, values: pa.Array) -> np.ndarray:
    """Position of every entry in `values` (int64); -1 where it is not among them."""
    found = pc.fill_null(pc.index_in(flatten(column), flatten(values)), -1)
    return found.to_numpy(zero_copy_only=False).astype(np.int64)


def encode_in_order(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """int64 codes that sort like the values (strings) or the values themselves (integers)."""
    column = flatten(column)
    if pa.types.is_string(column.type):
        values = pc.unique(column)
        return encode(column, values.take(pc.array_sort_indices(values)))
    return column.to_numpy(zero_copy_only=False).astype(np.int64)


def number_rows(*tables: Sequence[pa.ChunkedArray | pa.Array]) -> list[np.ndarray]:
    """Rows of several tables as numbers that are equal where all columns are.

    Args:
        tables: columns of each, as many and of the same kinds, at least one.

    Returns:
        int64, a number a row, an array a table.
    """
    ends = np.cumsum([len(columns[0]) for columns in tables])
    numbers, count = np.zeros(int(ends[-1]), np.int64), 1
    for columns in zip(*tables, strict=True):
        kind = columns[0].type
        column = pa.concat_arrays([flatten(one).cast(kind) for one in columns])
        values = pc.unique(column)
        if count * max(len(values), 1) > _MAX_NUMBER:
            found, numbers = np.unique(numbers, return_inverse=True)
            count = len(found)
        numbers = numbers * len(values) + encode(column, values)
        count *= max(len(values), 1)
    return np.split(numbers, ends[:-1])


def find_last(numbers: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Place in `known` of the last number that is equal (int64); -1 where there is none."""
    values, last = np.unique(known[::-1], return_index=True)
    if not len(values):
        return np.full(len(numbers), -1)
    at = np.minimum(np.searchsorted(values, numbers), len(values) - 1)
    return np.where(values[at] == numbers, len(known) - 1 - last[at], -1)
