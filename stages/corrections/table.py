"""The table `corrections`, and relations as it leaves them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.relation_ids import derive_relation_ids
from relforge.stages.tables import SCHEMAS, SORT_KEYS

FILE = "corrections.parquet"
"""In the run folder."""
RIGHT, REMOVED, ADDED = "right", "removed", "added"
TAGGER = "corrected"
"""`tagger` and `rule` of a relation that a person added."""

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("subject_box", pa.int32(), nullable=False),
        pa.field("object_box", pa.int32(), nullable=False),
        pa.field("predicate", pa.string(), nullable=False),
        # right: shown and left; removed: shown and taken away; added: not shown
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("score", pa.float32()),  # that the relation had when it was shown
        pa.field("source", pa.string(), nullable=False),  # the tool and its file
    ]
)
KEY = ["image_id", "subject_box", "object_box", "predicate"]


def correct_relations(
    relations: pa.Table, corrections: pa.Table, images: pa.Table, boxes: pa.Table
) -> pa.Table:
    """The relations of a shard as people want them.

    Removed ones are gone, right and added ones are there and score 1, so that no threshold takes them away.
    Relations that nobody was shown stay as they are; what was said of a box that is not there is left out.

    Args:
        relations: rows of the shard.
        corrections: rows of any images.
        images: the shard's.
        boxes: the shard's, as people left them.
    """
    corrections = corrections.filter(pc.is_in(corrections["image_id"], pc.unique(images["image_id"])))
    if not corrections.num_rows:
        return relations
    there = set(zip(boxes["image_id"].to_pylist(), boxes["box_id"].to_pylist(), strict=True))
    said = {tuple(row[name] for name in KEY): row["verdict"] for row in corrections.to_pylist()}
    said = {key: verdict for key, verdict in said.items() if {(key[0], key[1]), (key[0], key[2])} <= there}
    keys = list(zip(*(relations[name].to_pylist() for name in KEY), strict=True))
    verdicts = [said.get(key) for key in keys]
    certain = np.array([one in (RIGHT, ADDED) for one in verdicts], bool)
    place = relations.column_names.index("score")
    scores = np.where(certain, np.float32(1), relations["score"].to_numpy())
    field = relations.schema.field("score")
    relations = relations.set_column(place, field, pa.array(scores, pa.float32()))
    relations = relations.filter(pa.array([one != REMOVED for one in verdicts], pa.bool_()))
    labelled = set(keys)
    added = [key for key, verdict in said.items() if verdict != REMOVED and key not in labelled]
    if not added:
        return relations
    rows = [dict(zip(KEY, key, strict=True)) | _NEW for key in added]
    blank = pa.Table.from_pylist([row | {"relation_id": ""} for row in rows], SCHEMAS["relations"])
    ids = derive_relation_ids(blank, images)
    at = blank.column_names.index("relation_id")
    new = blank.set_column(at, SCHEMAS["relations"].field("relation_id"), ids)
    for field in relations.schema:  # columns that a stage adds
        if field.name not in new.column_names:
            new = new.append_column(field, pa.nulls(new.num_rows, field.type))
    new = new.select(relations.column_names)
    joined = pa.concat_tables([relations, new.cast(relations.schema)])
    return joined.sort_by([(key, "ascending") for key in SORT_KEYS["relations"]])


_NEW: dict[str, Any] = {
    "position": 0,
    "support": 0,
    "caption_ids": [],
    "triplet_ids": [],
    "rule": TAGGER,
    "claim_id": 0,
    "alternatives": 0,
    "score": 1.0,
    "tagger": TAGGER,
}
