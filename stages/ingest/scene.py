"""One image with its boxes and relations as a scene-graph file has them, checked record by record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.stages.contract import Quarantined, StageResult
from relforge.stages.ingest.boxes import REASONS, box_faults
from relforge.stages.ingest.imported import gold_table, relation_table
from relforge.stages.tables import SCHEMAS, conform


@dataclass
class Shelf:
    """Rows and account of one shard under construction; every record is counted as it is filed."""

    images: list[dict[str, Any]] = field(default_factory=list)
    boxes: list[dict[str, Any]] = field(default_factory=list)
    relations: list[dict[str, Any]] = field(default_factory=list)
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    quarantined: list[Quarantined] = field(default_factory=list)

    def set_aside(self, reason: str, detail: str, **record: Any) -> None:
        self.quarantined.append(Quarantined(record, reason, detail))

    def result(self) -> StageResult:
        """The shard, with a `relations` table beside the three a source gives."""
        images = pa.Table.from_pylist(self.images, SCHEMAS["images"])
        boxes = pa.Table.from_pylist(self.boxes, SCHEMAS["boxes"])
        tables = {
            "images": conform("images", images),
            "boxes": conform("boxes", boxes),
            "gold": gold_table(self.relations),
            "relations": relation_table(self.relations, images),
        }
        rows_in = self.kept + self.dropped.total() + len(self.quarantined)
        return StageResult(tables, self.kept, dict(self.dropped), self.quarantined, {"rows_in": rows_in})


@dataclass
class Scene:
    """One image record.

    Args:
        image: the row of the `images` table.
        objects: the file's object records, in order.
        relationships: the file's relationship records, in order.
        lowercase: whether names and predicates are lower-cased.
    """

    image: Mapping[str, Any]
    objects: list[Any]
    relationships: list[Any]
    lowercase: bool

    def file(self, shelf: Shelf) -> None:
        """Put every record on the shelf, in exactly one place."""
        shelf.images.append(dict(self.image))
        shelf.kept += 1
        self._file_relations(shelf, self._file_objects(shelf))

    def _file_objects(self, shelf: Shelf) -> dict[Any, int | None]:
        """Object id -> box id; None for an object that was set aside."""
        count = len(self.objects)
        parsed = [_object(record) for record in self.objects]
        xywh = np.array([p.xywh if p else (np.nan,) * 4 for p in parsed], float).reshape(-1, 4)
        size = np.broadcast_to([self.image["width"], self.image["height"]], (count, 2))
        seen: set[Any] = set()
        duplicate = np.zeros(count, bool)
        for k, p in enumerate(parsed):
            if p:
                duplicate[k] = p.object_id in seen
                seen.add(p.object_id)
        malformed = np.array([p is None for p in parsed], bool)
        faults = box_faults(xywh, size, malformed, duplicate, np.ones(count, bool))
        found: dict[Any, int | None] = {}
        for k, (p, fault) in enumerate(zip(parsed, faults.tolist(), strict=True)):
            box_id = p.box_id if p and p.box_id is not None else k
            identity = {"image_id": self.image["image_id"], "box_id": box_id}
            if p is None or fault >= 0:
                reason = list(REASONS)[max(fault, 0)]
                what = f"object {k} of image {self.image['image_id']}: {REASONS[reason]}"
                shelf.set_aside(reason, what, **identity)
                if p:
                    found.setdefault(p.object_id, None)
                continue
            found[p.object_id] = box_id
            x, y, w, h = p.xywh
            row = {"category": self._text(p.name), "x": x, "y": y, "w": w, "h": h, "iscrowd": p.crowd}
            shelf.boxes.append(identity | row | {"source_id": str(p.object_id)})
            shelf.kept += 1
        return found

    def _file_relations(self, shelf: Shelf, box_ids: dict[Any, int | None]) -> None:
        best: dict[tuple[int, int, str], dict[str, Any]] = {}
        for k, record in enumerate(self.relationships):
            image_id = self.image["image_id"]
            parsed = _relationship(record)
            if parsed is None:
                what = f"relationship {k} of image {image_id}: a field is missing or of the wrong type"
                shelf.set_aside("malformed_relation", what, image_id=image_id, relation=k)
                continue
            subject_id, predicate, object_id, confidence = parsed
            if subject_id not in box_ids or object_id not in box_ids:
                absent = object_id if subject_id in box_ids else subject_id
                what = f"relationship {k} of image {image_id} names unknown object {absent}"
                shelf.set_aside("unknown_object", what, image_id=image_id, relation=k)
                continue
            subject, object_ = box_ids[subject_id], box_ids[object_id]
            if subject is None or object_ is None:
                shelf.dropped["box_set_aside"] += 1
                continue
            if subject == object_:
                shelf.dropped["self_relation"] += 1
                continue
            key = (subject, object_, self._text(predicate))
            if key in best:
                shelf.dropped["repeated_relation"] += 1
                best[key]["score"] = max(best[key]["score"], confidence)
                continue
            pair = {"image_id": image_id, "subject_box": subject, "object_box": object_, "predicate": key[2]}
            best[key] = pair | {"position": len(best), "score": confidence}
            shelf.kept += 1
        shelf.relations += best.values()

    def _text(self, text: str) -> str:
        text = " ".join(text.split())
        return text.lower() if self.lowercase else text


@dataclass
class _Object:
    object_id: int | str
    name: str
    xywh: tuple[float, ...]
    box_id: int | None
    crowd: bool


def _object(record: Any) -> _Object | None:
    """An object record, or None where it does not fit."""
    if not isinstance(record, dict) or not _is_id(record.get("object_id")):
        return None
    # Visual Genome has lists of names, its preprocessed form and RLIPv2's files one name
    names = record.get("names", record.get("name"))
    name = names[0] if isinstance(names, list) and names else names
    xywh: tuple[Any, ...] = tuple(record.get(k) for k in "xywh")
    if not isinstance(name, str) or not name.strip() or not all(_is_number(v) for v in xywh):
        return None
    box_id = record.get("box_id")
    return _Object(
        record["object_id"],
        name,
        xywh,
        box_id if _is_box_id(box_id) else None,
        bool(record.get("iscrowd", 0)),
    )


def _relationship(record: Any) -> tuple[Any, str, Any, float] | None:
    """Subject id, predicate, object id, confidence; None where the record does not fit."""
    if not isinstance(record, dict):
        return None
    ends = (record.get("subject_id"), record.get("object_id"))
    predicate, confidence = record.get("predicate"), record.get("confidence", 1.0)
    if not all(map(_is_id, ends)) or not isinstance(predicate, str) or not predicate.strip():
        return None
    if not _is_number(confidence) or not 0 <= confidence <= 1:
        return None
    return ends[0], predicate, ends[1], float(confidence)


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_box_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_number(value: Any) -> bool:
    # an integer too large for a float is no coordinate
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**1000)
