"""The table `first_round`: a column beside `scores`, by the same keys."""

from __future__ import annotations

import pyarrow as pa

from relforge.stages.tables import SORT_KEYS, TableSpec

NAME = "first_round"

FIRST_ROUND = TableSpec(
    pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("subject_box", pa.int32(), nullable=False),
            pa.field("object_box", pa.int32(), nullable=False),
            pa.field("predicate", pa.string(), nullable=False),
            pa.field("first_score", pa.float32()),  # of the same relation in the first round; null: not there
        ]
    ),
    sort_keys=SORT_KEYS["scores"],
)
