"""The table `regions`: parts of an image that were captioned apart, and which captions are theirs."""

from __future__ import annotations

import pyarrow as pa

from relforge.stages.tables import TableSpec

WHOLE = -1
"""The region of captions that no row of the table names: they are of the whole image."""

ASKED = "asked"
"""Kind of a region whose captions are about its two boxes and no others (backend `vlm_pairs`)."""

REGIONS = TableSpec(
    pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("region", pa.int32(), nullable=False),  # 0, 1, ... within the image
            pa.field("kind", pa.string(), nullable=False),  # person, pair or asked
            pa.field("subject_box", pa.int32(), nullable=False),  # the person's
            pa.field("object_box", pa.int32()),  # of a pair, the other's
            pa.field("x", pa.float64(), nullable=False),  # pixels of the image, top-left
            pa.field("y", pa.float64(), nullable=False),
            pa.field("w", pa.float64(), nullable=False),
            pa.field("h", pa.float64(), nullable=False),
            pa.field("caption_ids", pa.list_(pa.int32()), nullable=False),
        ]
    ),
    sort_keys=("image_id", "region"),
)
