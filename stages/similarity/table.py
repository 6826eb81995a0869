"""The table `similarity`: a column beside `candidates`, by the same keys."""

from __future__ import annotations

import pyarrow as pa

from relforge.stages.tables import SORT_KEYS, TableSpec

SIMILARITY = TableSpec(
    pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("subject_box", pa.int32(), nullable=False),
            pa.field("object_box", pa.int32(), nullable=False),
            pa.field("predicate", pa.string(), nullable=False),
            pa.field("similarity", pa.float32(), nullable=False),  # 0 to 1
        ]
    ),
    sort_keys=SORT_KEYS["candidates"],
)
