"""Arrow columns as integer codes, the form in which NumPy joins, sorts and groups them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


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
