"""The table `corrected_boxes`, and boxes as it leaves them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.corrections.table import ADDED, REMOVED, RIGHT, TAGGER
from relforge.stages.tables import SCHEMAS, SORT_KEYS

FILE = "corrected_boxes.parquet"
"""In the run folder."""
CHANGED = "changed"
"""Verdict of a box that was moved, resized or given another class."""

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("box_id", pa.int32(), nullable=False),  # of an added one: the next that the image has free
        # right: left as it was; changed: moved, resized or of another class; removed; added
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),  # as people left it, like the sides
        pa.field("x", pa.float64(), nullable=False),  # pixels, top-left
        pa.field("y", pa.float64(), nullable=False),
        pa.field("w", pa.float64(), nullable=False),
        pa.field("h", pa.float64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # the tool and its file
    ]
)
_LEFT = ("category", "x", "y", "w", "h")


def correct_boxes(boxes: pa.Table, corrected: pa.Table, images: pa.Table) -> pa.Table:
    """The boxes of a shard as people want them; those of images that nobody judged are unchanged.

    Args:
        boxes: rows of the shard.
        corrected: rows of any images.
        images: the shard's.
    """
    chosen = pc.and_(
        pc.is_in(corrected["image_id"], pc.unique(images["image_id"])),
        pc.not_equal(corrected["verdict"], RIGHT),
    )
    corrected = corrected.filter(chosen)
    if not corrected.num_rows:
        return boxes
    said = {(row["image_id"], row["box_id"]): row for row in corrected.to_pylist()}
    rows = []
    for row in boxes.to_pylist():
        one = said.pop((row["image_id"], row["box_id"]), None)
        if one is None:
            rows.append(row)
        elif one["verdict"] != REMOVED:
            rows.append(row | {name: one[name] for name in _LEFT})
    rows += [
        {name: one[name] for name in ("image_id", "box_id", *_LEFT)} | {"iscrowd": False, "source_id": TAGGER}
        for one in said.values()
        if one["verdict"] == ADDED
    ]
    joined = pa.Table.from_pylist(rows, SCHEMAS["boxes"])
    return joined.select(boxes.column_names).sort_by([(key, "ascending") for key in SORT_KEYS["boxes"]])
