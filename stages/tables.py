"""The schema of every table that relforge's own stages write (docs/formats.md describes the same).

Tables are flat and long, one row per fact, sorted by `image_id` and then by the ids that follow it. A stage
that writes another table declares it as a `TableSpec` in its attribute `schemas`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 5
"""Part of every fingerprint: raise it when a built-in schema changes."""


@dataclass(frozen=True)
class TableSpec:
    """Columns of a table and the order of its rows.

    Args:
        schema: the columns; `image_id`, a string that is never null, is one of them.
        sort_keys: columns that order the rows, `image_id` first.
        per_image: whether rows are of images; those of the built-in `classes` are not.

    Raises:
        ValueError: no such `image_id`, or a sort key that is no column.
    """

    schema: pa.Schema
    sort_keys: tuple[str, ...] = ("image_id",)
    per_image: bool = True

    def __post_init__(self) -> None:
        if not self.per_image:
            return
        index = self.schema.get_field_index("image_id")
        if index < 0 or self.schema.field(index) != _ID[0]:
            raise ValueError(
                "a table needs the column image_id: pa.field('image_id', pa.string(), nullable=False)"
            )
        unknown = [key for key in self.sort_keys if key not in self.schema.names]
        if unknown or self.sort_keys[:1] != ("image_id",):
            raise ValueError(f"sort keys {self.sort_keys} must be columns of the table, image_id first")

    def to_record(self) -> dict[str, Any]:
        """JSON-able form for run.json; `from_record` reads it back."""
        columns = base64.b64encode(self.schema.serialize().to_pybytes()).decode()
        return {"schema": columns, "sort_keys": list(self.sort_keys)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> TableSpec:
        """The spec that `to_record` wrote."""
        buffer = pa.py_buffer(base64.b64decode(record["schema"]))
        return cls(pa.ipc.read_schema(buffer), tuple(record["sort_keys"]))


_ID = [pa.field("image_id", pa.string(), nullable=False)]

_PAIR = [
    *_ID,
    pa.field("subject_box", pa.int32(), nullable=False),
    pa.field("object_box", pa.int32(), nullable=False),
    pa.field("predicate", pa.string(), nullable=False),
]

TRIPLET_KEY = pa.struct(
    [
        pa.field("caption_id", pa.int32(), nullable=False),
        pa.field("triplet_id", pa.int32(), nullable=False),
    ]
)
"""Names a row of `triplets` within an image."""

_CANDIDATE = [
    *_PAIR,
    # order of first appearance of (subject class, predicate, object class) in the image's captions
    pa.field("position", pa.int32(), nullable=False),
    pa.field("support", pa.int32(), nullable=False),  # how many captions state it
    pa.field("caption_ids", pa.list_(pa.int32()), nullable=False),
    # every triplet that states it, by caption and triplet id; a caption may do so more than once
    pa.field("triplet_ids", pa.list_(TRIPLET_KEY), nullable=False),
    pa.field("rule", pa.string(), nullable=False),  # which matching rule fired, subject|object
    # a claim is what captions say by class: subject class, predicate, object class; it has alternatives
    pa.field("claim_id", pa.int32(), nullable=False),  # in the image
    pa.field("alternatives", pa.int32(), nullable=False),  # how many pairs the claim has
    # of things that the captions speak of: a number, 0 for several, null where they do not tell
    pa.field("subject_count", pa.int32()),
    pa.field("object_count", pa.int32()),
    pa.field("confidence", pa.float32()),  # the parser's
]

_PRIOR = [
    pa.field("prior", pa.float32()),  # how likely the claim means this pair, 0 to 1; null: not grounded
    pa.field("prior_rank", pa.int32()),  # in the claim, from 1
]

_SCORE = [
    *_CANDIDATE,
    *_PRIOR,
    pa.field("score", pa.float32(), nullable=False),  # sigmoid of the relation logit
    pa.field("subject_score", pa.float32()),
    pa.field("object_score", pa.float32()),
    pa.field("tagger", pa.string(), nullable=False),
]

SCHEMAS: dict[str, pa.Schema] = {
    "images": pa.schema(
        [
            *_ID,
            pa.field("dataset", pa.string(), nullable=False),
            pa.field("split", pa.string(), nullable=False),
            pa.field("uri", pa.string()),  # null: the dataset has no image file for it
            pa.field("width", pa.int32(), nullable=False),
            pa.field("height", pa.int32(), nullable=False),
            pa.field("bytes", pa.binary()),  # the encoded image, when embedded
            pa.field("file_name", pa.string()),  # as the source has it, folders included
            # whether another image of the source has this file name but for folder, case and extension; null:
            # not known
            pa.field("shared_name", pa.bool_()),
        ]
    ),
    "boxes": pa.schema(
        [
            *_ID,
            pa.field("box_id", pa.int32(), nullable=False),  # index in the image's annotation order
            pa.field("category", pa.string(), nullable=False),
            pa.field("x", pa.float64(), nullable=False),  # pixels, top-left
            pa.field("y", pa.float64(), nullable=False),
            pa.field("w", pa.float64(), nullable=False),
            pa.field("h", pa.float64(), nullable=False),
            pa.field("iscrowd", pa.bool_(), nullable=False),
            pa.field("source_id", pa.string(), nullable=False),
        ]
    ),
    # classes that the source lists, with or without boxes; the same rows in every shard of one file
    "classes": pa.schema(
        [
            pa.field("category", pa.string(), nullable=False),
            pa.field("synonyms", pa.list_(pa.string()), nullable=False),  # the source's own, mostly none
            pa.field("source_id", pa.string()),  # its id in the source
            pa.field("supercategory", pa.string()),
        ]
    ),
    # relations of the source (Visual Genome, Open Images, the demo world)
    "gold": pa.schema(_PAIR),
    "captions": pa.schema(
        [
            *_ID,
            pa.field("caption_id", pa.int32(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("source", pa.string(), nullable=False),  # model id, `oracle` or `import`
            pa.field("seed", pa.int64()),
            pa.field("logprob", pa.float32()),
        ]
    ),
    "triplets": pa.schema(
        [
            *_ID,
            pa.field("caption_id", pa.int32(), nullable=False),
            pa.field("triplet_id", pa.int32(), nullable=False),
            # surface noun phrases and predicate, as the caption has them
            pa.field("subject", pa.string(), nullable=False),
            pa.field("predicate", pa.string(), nullable=False),
            pa.field("object", pa.string(), nullable=False),
            # head noun of each phrase, surface form
            pa.field("subject_head", pa.string(), nullable=False),
            pa.field("object_head", pa.string(), nullable=False),
            # lemmas of the whole phrase, single spaces between tokens
            pa.field("subject_lemma", pa.string(), nullable=False),
            pa.field("predicate_lemma", pa.string(), nullable=False),
            pa.field("object_lemma", pa.string(), nullable=False),
            # character offsets [start, end) in the caption text, where the parser gives them
            pa.field("subject_start", pa.int32()),
            pa.field("subject_end", pa.int32()),
            pa.field("predicate_start", pa.int32()),
            pa.field("predicate_end", pa.int32()),
            pa.field("object_start", pa.int32()),
            pa.field("object_end", pa.int32()),
            pa.field("confidence", pa.float32()),
            pa.field("parser", pa.string(), nullable=False),
        ]
    ),
    "candidates": pa.schema(_CANDIDATE),
    # candidates with the prior of stage `ground`, those that it left
    "grounded": pa.schema([*_CANDIDATE, *_PRIOR]),
    # the same, and what stage `propose` with a prior adds to them
    "proposed": pa.schema([*_CANDIDATE, *_PRIOR]),
    "scores": pa.schema(_SCORE),
    "relations": pa.schema([*_SCORE, pa.field("relation_id", pa.string(), nullable=False)]),
}

SORT_KEYS: dict[str, tuple[str, ...]] = {
    "images": ("image_id",),
    "boxes": ("image_id", "box_id"),
    "classes": ("category",),
    "gold": ("image_id", "subject_box", "object_box", "predicate"),
    "captions": ("image_id", "caption_id"),
    "triplets": ("image_id", "caption_id", "triplet_id"),
    "candidates": ("image_id", "subject_box", "object_box", "predicate"),
    "grounded": ("image_id", "subject_box", "object_box", "predicate"),
    "proposed": ("image_id", "subject_box", "object_box", "predicate"),
    "scores": ("image_id", "subject_box", "object_box", "predicate"),
    "relations": ("image_id", "subject_box", "object_box", "predicate"),
}


TABLES: dict[str, TableSpec] = {
    name: TableSpec(SCHEMAS[name], SORT_KEYS[name], per_image="image_id" in SCHEMAS[name].names)
    for name in SCHEMAS
}
"""The built-in tables."""


def empty(name: str) -> pa.Table:
    """A table of that name without rows."""
    return SCHEMAS[name].empty_table()


def conform(name: str, table: pa.Table, spec: TableSpec | None = None) -> pa.Table:
    """Cast to the schema of `name` and sort by its keys.

    Args:
        spec: of a table that is not built in.

    Raises:
        ValueError: a column is missing, surplus, of another type, or null where it may not be.
    """
    spec = spec or TABLES[name]
    schema = spec.schema
    missing = [f.name for f in schema if f.name not in table.column_names]
    surplus = [c for c in table.column_names if c not in schema.names]
    if missing or surplus:
        raise ValueError(f"table {name!r}: missing columns {missing}, surplus columns {surplus}")
    try:
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ValueError(f"table {name!r} does not fit its schema: {error}") from error
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"table {name!r}: column {field.name!r} holds nulls")
    return table.sort_by([(key, "ascending") for key in spec.sort_keys])
