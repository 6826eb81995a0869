"""Candidates with and without a prior in one form."""

from __future__ import annotations

import pyarrow as pa

from relforge.stages.tables import SCHEMAS


def as_grounded(candidates: pa.Table) -> pa.Table:
    """The rows in the columns of `grounded`; the prior is null where the table has none."""
    schema = SCHEMAS["grounded"]
    for name in set(schema.names) - set(candidates.column_names):
        if schema.field(name).nullable:
            candidates = candidates.append_column(
                name, pa.nulls(candidates.num_rows, schema.field(name).type)
            )
    return candidates.select(schema.names).cast(schema)
