"""The relations that a source has: found boxes, checked fields, repetitions merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa

from relforge.stages.account import Account
from relforge.stages.ingest.ids import NONE
from relforge.stages.ingest.spill import RelationBuffer
from relforge.stages.relation_ids import derive_relation_ids
from relforge.stages.tables import SCHEMAS, conform

_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_Score = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Relation(msgspec.Struct):
    """What a file may have of a relation beside its two ends; see the `relations` table."""

    predicate: Annotated[str, msgspec.Meta(pattern=r"\S")]
    position: _Count = 0
    support: _Count = 1
    caption_ids: list[_Count] = []
    rule: str = "import"
    claim_id: _Count = 0
    alternatives: _Count = 1
    subject_count: _Count | None = None
    object_count: _Count | None = None
    confidence: _Score | None = None
    prior: _Score | None = None
    prior_rank: _Count | None = None
    score: _Score = 1.0
    subject_score: _Score | None = None
    object_score: _Score | None = None
    tagger: str = "import"


_RELATION = msgspec.json.Decoder(Relation)


@dataclass
class BoxKeys:
    """The box records of a shard, for the relations that name them.

    Args:
        image: N int64, position among the shard's images.
        annotation: N int64, id codes.
        box_id: N int32.
        usable: N bool.
    """

    image: np.ndarray
    annotation: np.ndarray
    box_id: np.ndarray
    usable: np.ndarray


def read_relations(
    account: Account,
    relations: RelationBuffer,
    rows: np.ndarray,
    image_ids: pa.ChunkedArray,
    boxes: BoxKeys,
    number: bool,
) -> list[dict[str, Any]]:
    """Rows of the relations whose boxes can be used; of a repeated one the first, with the highest score.

    Args:
        account: takes every relation of these images.
        relations: grouped by image.
        rows: N int64, the images' rows in that grouping.
        image_ids: N ids.
        boxes: the box records of these images.
        number: whether `position` is a relation's place among those kept of its image.
    """
    records, owner, place, _ = relations.of(rows)
    account.read("relations", len(records))
    if not len(records):
        return []
    keys = (boxes.box_id if relations.by_box_id else boxes.annotation).tolist()
    box_of: dict[tuple[int, int], int] = {}
    images = boxes.image.tolist()
    for at in np.argsort(~boxes.usable, kind="stable").tolist():  # of two with one number the usable one
        box_of.setdefault((images[at], keys[at]), at)
    box_ids, usable, names = boxes.box_id.tolist(), boxes.usable.tolist(), image_ids.to_pylist()
    kept: dict[tuple[int, int, int, str], dict[str, Any]] = {}
    numbers: Counter[int] = Counter()
    ends = zip(records["subject"].tolist(), records["object"].tolist(), strict=True)
    for image, k, (subject, object_), payload in zip(
        owner.tolist(), place.tolist(), ends, relations.payloads(records), strict=True
    ):
        identity = {"image_id": names[image], "relation": k}
        named = f"relation {k} of image {names[image]}"
        relation = _decode(payload) if NONE not in (subject, object_) else "an end has no usable id"
        if isinstance(relation, str):
            what = f"{named}: a field is missing or of the wrong type ({relation})"
            account.quarantine(identity, "malformed_relation", what)
            account.lose("relations", "malformed_relation")
            continue
        first, second = box_of.get((image, subject)), box_of.get((image, object_))
        if first is None or second is None:
            what = f"{named}, {relation.predicate!r}, names a box that the image does not have"
            account.quarantine(identity, "unknown_object", what)
            account.lose("relations", "unknown_object")
        elif not (usable[first] and usable[second]):
            account.drop("box_set_aside")
        elif first == second:
            account.drop("self_relation")
        elif (pair := (image, box_ids[first], box_ids[second], relation.predicate)) in kept:
            account.drop("repeated_relation")
            kept[pair]["score"] = max(kept[pair]["score"], relation.score)
        else:
            if number:
                relation.position = numbers[image]
                numbers[image] += 1
            row = {"image_id": names[image], "subject_box": pair[1], "object_box": pair[2]}
            kept[pair] = row | msgspec.structs.asdict(relation)
            account.keep()
    return list(kept.values())


def _decode(payload: bytes) -> Relation | str:
    """The relation, or what is wrong with it."""
    try:
        return _RELATION.decode(payload)
    except msgspec.DecodeError as error:
        return str(error)


def make_gold_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The `gold` table of rows with at least image_id, subject_box, object_box and predicate."""
    schema = SCHEMAS["gold"]
    if not rows:
        return schema.empty_table()
    return conform("gold", pa.Table.from_pylist([{n: row[n] for n in schema.names} for row in rows], schema))


def make_relation_table(rows: Sequence[Mapping[str, Any]], images: pa.Table) -> pa.Table:
    """The `relations` table of rows with every column but `relation_id`, which is derived, and
    `triplet_ids`: triplets are not imported.

    Args:
        rows: relations.
        images: the images they belong to.
    """
    if not rows:
        return SCHEMAS["relations"].empty_table()
    schema = pa.schema([f for f in SCHEMAS["relations"] if f.name != "relation_id"])
    table = pa.Table.from_pylist([{"triplet_ids": [], **row} for row in rows], schema)
    return conform("relations", table.append_column("relation_id", derive_relation_ids(table, images)))
