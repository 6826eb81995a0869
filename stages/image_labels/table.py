"""The table `image_labels`: which interactions an image shows, as far as its captions tell."""

from __future__ import annotations

import pyarrow as pa

from relforge.stages.tables import TableSpec

POSITIVE, AMBIGUOUS, NEGATIVE, UNLABELLED = 1, 0, -1, -2
"""States as HICO has them: shown; object there, interaction open; object there, interaction not shown; object
absent or nothing known. A pair without a row is `UNLABELLED`."""

IMAGE_LABELS = TableSpec(
    pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("label", pa.string(), nullable=False),  # verb and object, one space between
            pa.field("verb", pa.string(), nullable=False),
            pa.field("object", pa.string(), nullable=False),
            pa.field("state", pa.int8(), nullable=False),  # 1, 0 or -1
            pa.field("probability", pa.float32(), nullable=False),  # the captions' vote
            pa.field("support", pa.int32(), nullable=False),  # how many captions say so
            pa.field("caption_ids", pa.list_(pa.int32()), nullable=False),
            pa.field("reason", pa.string(), nullable=False),  # why this state
            pa.field("source", pa.string(), nullable=False),  # the table of interactions
        ]
    ),
    sort_keys=("image_id", "label"),
)
