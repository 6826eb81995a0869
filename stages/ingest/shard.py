"""The tables and the account of one shard, from grouped records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa

from relforge.images import ImageError
from relforge.stages.contract import Quarantined, StageResult
from relforge.stages.ingest.boxes import REASONS, box_faults
from relforge.stages.ingest.ids import Ids
from relforge.stages.ingest.imported import gold_table, relation_table
from relforge.stages.ingest.pictures import Pictures
from relforge.stages.ingest.spool import RelationSpool, Spool
from relforge.stages.tables import SCHEMAS

IMAGE_REASONS: dict[str, str] = {
    "malformed_image": "the record has no usable id",
    "duplicate_image_id": "an earlier image, of this file or of an earlier split, has the same id",
    "bad_image_size": "width or height is missing or not positive",
}
"""Reason codes of images, in the order they are tested; those of pictures are `ImageError`'s."""


@dataclass
class _Boxes:
    """The box records of a shard with what the relations need to find them."""

    table: pa.Table
    owner: np.ndarray  # position among the shard's images
    annotation: np.ndarray
    box_id: np.ndarray
    usable: np.ndarray


@dataclass
class ShardBuilder:
    """Builds the shards of one file.

    Args:
        ids: what the codes mean.
        dataset, split: written to the `images` table.
        categories: code -> class name.
        pictures: where the pictures are, and whether they are needed.
        repeats: places of the annotations whose id an earlier one has.
        boxes, relations: grouped records.
    """

    ids: Ids
    dataset: str
    split: str
    categories: dict[int, str]
    pictures: Pictures
    repeats: np.ndarray
    boxes: Spool
    relations: RelationSpool

    def build(
        self, rows: np.ndarray, codes: np.ndarray, sizes: np.ndarray, file_names: pa.Array, faults: np.ndarray
    ) -> StageResult:
        """One shard.

        Args:
            rows: N image rows of the file, sorted by image id.
            codes, sizes, file_names: what the image records say (`ImageRecords`).
            faults: index into `IMAGE_REASONS`, or -1.
        """
        result = StageResult({}, kept=0)
        dropped: Counter[str] = Counter()
        images, good = self._images(result, codes, sizes, file_names, faults)
        lost = np.delete(rows, good)
        dropped["image_set_aside"] = len(self.boxes.of(lost)[0]) + len(self.relations.of(lost)[0])
        boxes = self._boxes(result, rows[good], images["image_id"], sizes[good])
        found = self._relations(result, dropped, rows[good], images["image_id"], boxes)
        result.tables = {"images": images, "boxes": boxes.table}
        result.tables |= {"gold": gold_table(found), "relations": relation_table(found, images)}
        result.dropped = {reason: n for reason, n in dropped.items() if n}
        result.notes["rows_in"] = result.kept + dropped.total() + len(result.quarantined)
        return result

    def _images(
        self,
        result: StageResult,
        codes: np.ndarray,
        sizes: np.ndarray,
        file_names: pa.Array,
        faults: np.ndarray,
    ) -> tuple[pa.Table, np.ndarray]:
        """The `images` table, and the positions of its images in the shard."""
        names = self.ids.texts(codes)
        uris = self.pictures.uris(names, file_names, self.split)
        embedded: list[bytes | None] = [None] * len(codes)
        good = faults < 0
        for k in range(len(codes)) if self.pictures.required else np.flatnonzero(~good).tolist():
            image_id = names[k].as_py()
            try:
                if not good[k]:
                    reason = list(IMAGE_REASONS)[faults[k]]
                    what = f"image {image_id or '?'} ({file_names[k]}): {IMAGE_REASONS[reason]}"
                    raise ImageError(reason, what)
                embedded[k] = self.pictures.check(uris[k].as_py(), (int(sizes[k, 0]), int(sizes[k, 1])))
            except ImageError as error:
                good[k] = False
                result.quarantined.append(Quarantined({"image_id": image_id}, error.reason, error.detail))
        chosen = np.flatnonzero(good)
        result.kept += len(chosen)
        taken = pa.array(chosen)
        columns = {
            "image_id": names.take(taken),
            "dataset": pa.repeat(self.dataset, len(chosen)),
            "split": pa.repeat(self.split, len(chosen)),
            "uri": uris.take(taken),
            "width": pa.array(sizes[chosen, 0], pa.int32()),
            "height": pa.array(sizes[chosen, 1], pa.int32()),
            "bytes": pa.array(embedded, pa.binary()).take(taken),
        }
        return pa.table(columns, schema=SCHEMAS["images"]), chosen

    def _boxes(
        self, result: StageResult, rows: np.ndarray, image_ids: pa.ChunkedArray, sizes: np.ndarray
    ) -> _Boxes:
        records, owner, place, source_row = self.boxes.of(rows)
        box_id = np.where(records["box_id"] >= 0, records["box_id"], place).astype(np.int32)
        category = pa.array(records["category"]).dictionary_encode()
        inverse = category.indices.to_numpy()
        labels = [self.categories.get(code) for code in category.dictionary.to_pylist()]
        known = np.array([label is not None for label in labels], bool)
        faults = box_faults(
            records["xywh"],
            sizes[owner],
            records["malformed"],
            np.isin(source_row, self.repeats) if len(self.repeats) else np.zeros(len(records), bool),
            known[inverse] if len(records) else np.zeros(0, bool),
        )
        for at in np.flatnonzero(faults >= 0).tolist():
            result.quarantined.append(
                self._set_aside(
                    records[at], image_ids[int(owner[at])].as_py(), int(box_id[at]), int(faults[at])
                )
            )
        usable = np.flatnonzero(faults < 0)
        result.kept += len(usable)
        columns = {
            "image_id": image_ids.take(pa.array(owner[usable])),
            "box_id": pa.array(box_id[usable]),
            "category": pa.array(labels, pa.string()).take(pa.array(inverse[usable])),
            **dict(zip("xywh", np.ascontiguousarray(records["xywh"][usable].T), strict=True)),
            "iscrowd": pa.array(records["crowd"][usable]),
            "source_id": self.ids.texts(records["source"][usable]),
        }
        table = pa.table(columns, schema=SCHEMAS["boxes"])
        if (records["box_id"] >= 0).any():
            table = table.sort_by([("image_id", "ascending"), ("box_id", "ascending")])
        return _Boxes(table, owner, records["annotation"], box_id, faults < 0)

    def _set_aside(self, record: np.void, image_id: str, box_id: int, fault: int) -> Quarantined:
        reason = list(REASONS)[fault]
        source_id = self.ids.text(int(record["source"]))
        category = self.ids.text(int(record["category"])) or "none"
        box = ", ".join(f"{v:g}" for v in record["xywh"])
        detail = f"box {box_id} of image {image_id}, category {category}, [{box}]: {REASONS[reason]}"
        identity = {"image_id": image_id, "box_id": box_id, "source_id": source_id}
        return Quarantined(identity, reason, detail)

    def _relations(
        self,
        result: StageResult,
        dropped: Counter[str],
        rows: np.ndarray,
        image_ids: pa.ChunkedArray,
        boxes: _Boxes,
    ) -> list[dict[str, Any]]:
        """Rows of the relations whose boxes can be used; of a repeated one the first, with the top score."""
        records, owner, _, _ = self.relations.of(rows)
        if not len(records):
            return []
        ends = (boxes.box_id if self.relations.by_box_id else boxes.annotation).tolist()
        place: dict[tuple[int, int], int] = {}
        for at, end in enumerate(zip(boxes.owner.tolist(), ends, strict=True)):
            place.setdefault(end, at)
        best: dict[tuple[Any, ...], dict[str, Any]] = {}
        for record, image in zip(records, owner.tolist(), strict=True):
            image_id = image_ids[image].as_py()
            row = _relation(self.relations.payload(record))
            subject = place.get((image, int(record["subject"])))
            object_ = place.get((image, int(record["object"])))
            if isinstance(row, str):
                what = f"a relation of image {image_id}: {row}"
                result.quarantined.append(Quarantined({"image_id": image_id}, "malformed_relation", what))
            elif subject is None or object_ is None:
                what = f"relation {row['predicate']!r} of image {image_id} names a box it does not have"
                result.quarantined.append(Quarantined({"image_id": image_id}, "unknown_object", what))
            elif not (boxes.usable[subject] and boxes.usable[object_]):
                dropped["box_set_aside"] += 1
            elif subject == object_:
                dropped["self_relation"] += 1
            else:
                ends_of = (int(boxes.box_id[subject]), int(boxes.box_id[object_]))
                pair = {"image_id": image_id, "subject_box": ends_of[0], "object_box": ends_of[1]}
                key = (image, *ends_of, str(row["predicate"]))
                if key in best:
                    dropped["repeated_relation"] += 1
                    best[key]["score"] = max(best[key]["score"], row["score"])
                    continue
                best[key] = row | pair
                result.kept += 1
        return list(best.values())


_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_Score = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Relation(msgspec.Struct):
    """What a file may say of a relation beside its two ends; see the `relations` table."""

    predicate: Annotated[str, msgspec.Meta(pattern=r"\S")]
    position: _Count = 0
    support: _Count = 1
    caption_ids: list[_Count] = []
    rule: str = "import"
    score: _Score = 1.0
    subject_score: _Score | None = None
    object_score: _Score | None = None
    tagger: str = "import"


def _relation(payload: bytes) -> dict[str, Any] | str:
    """The columns, or what is wrong with them."""
    try:
        return msgspec.structs.asdict(msgspec.json.decode(payload, type=_Relation))
    except msgspec.DecodeError as error:
        return str(error)
