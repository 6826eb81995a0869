"""COCO detection JSON, of any size and in any order of its members."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import fsspec
import msgspec
import numpy as np
import pyarrow as pa

from relforge.stages.contract import StageResult
from relforge.stages.ingest.assemble import Assembler, ImageRecords
from relforge.stages.ingest.error import SourceError
from relforge.stages.ingest.ids import NONE, Ids
from relforge.stages.ingest.json_stream import JsonStream, lenient
from relforge.stages.ingest.pictures import Pictures
from relforge.stages.ingest.skip import without_polygons
from relforge.stages.ingest.spool import BOX, RelationSpool, Spool
from relforge.stages.ingest.uniform import uniform_columns


class _Image(msgspec.Struct, gc=False):
    id: int | str
    width: int
    height: int
    file_name: str | None = None


class _Annotation(msgspec.Struct, gc=False):
    image_id: int | str
    category_id: int | str
    bbox: tuple[float, float, float, float]
    id: int | str | None = None
    iscrowd: int | bool = 0
    box_id: int = -1  # the last two are written by `relforge export --to coco`
    source_id: str | None = None


_MALFORMED = -2

_IMAGES = msgspec.json.Decoder(list[_Image])
_ANNOTATIONS = msgspec.json.Decoder(list[_Annotation])


class CocoSource:
    """Reads COCO detection files (`images`, `annotations`, `categories`).

    A record the format does not allow is set aside on its own; the rest of the file is read. Memory is
    about 100 bytes per image and 20 per annotation, whatever else the file holds; boxes wait in a
    temporary file (70 bytes each, in TMPDIR).

    Args:
        annotations: path or URI of the JSON file, or split -> path.
        images: folder, URI or pattern of the pictures (`Pictures`), or split -> such;
            None where there are none.
        split: name of the split where `annotations` is one file.
        dataset: name written to the `images` table.
        require_images, embed_images: see `Pictures`.
        class_name, file_name: what the tables have for a class's name and a record's `file_name`.
    """

    name = "coco"
    version = 1

    def __init__(
        self,
        annotations: str | Mapping[str, str],
        images: str | Mapping[str, str] | None = None,
        split: str = "all",
        dataset: str = "coco",
        require_images: bool = False,
        embed_images: bool = False,
        class_name: Callable[[str], str] = str,
        file_name: Callable[[str], str] = str,
    ) -> None:
        self._files = {split: annotations} if isinstance(annotations, str) else dict(annotations)
        roots = images if isinstance(images, Mapping) else dict.fromkeys(self._files, images)
        self._pictures = {s: Pictures(roots.get(s), require_images, embed_images) for s in self._files}
        self._dataset = dataset
        self._class_name = class_name
        self._file_name = file_name

    def files(self) -> Sequence[str]:
        return list(self._files.values())

    def shards(self, shard_images: int) -> Iterator[StageResult]:
        for result in self.with_relations(shard_images):
            del result.tables["relations"]
            yield result

    def with_relations(self, shard_images: int) -> Iterator[StageResult]:
        """Like `shards`, with a `relations` table that keeps all a `relations` list of the file says."""
        ids = Ids()
        assembler = Assembler(self._dataset, ids, shard_images)
        for split, path in self._files.items():
            with Spool(BOX) as boxes, RelationSpool() as relations:
                images, categories = self._read(path, ids, boxes, relations)
                pictures = self._pictures[split]
                yield from assembler.shards(images, boxes, relations, categories, split, pictures)

    def _read(
        self, path: str, ids: Ids, boxes: Spool, relations: RelationSpool
    ) -> tuple[ImageRecords, dict[int, str]]:
        """Read one file, boxes and relations into their spools."""
        images, categories, seen = ImageRecords(), {}, set()
        try:
            opened = fsspec.open(path, "rb").open()
        except OSError as error:
            raise SourceError(f"{path}: cannot read the annotation file ({error})") from error
        with opened as file:
            stream = JsonStream(file, path)
            for member in stream.members():
                seen.add(member)
                if member == "images":
                    images = _image_records(stream, ids, self._file_name)
                elif member == "annotations":
                    for batch in stream.elements(_decode_annotations):
                        boxes.append(_box_records(batch, ids, len(boxes)))
                elif member == "relations" and stream.is_array():
                    for batch in stream.elements(lenient):
                        _spool_relations(batch, ids, relations)
                elif member == "categories":
                    for record in chain.from_iterable(stream.elements(lenient)):
                        if isinstance(record, dict) and isinstance(record.get("name"), str):
                            categories[ids.code(record.get("id"))] = self._class_name(record["name"])
        for member in ("images", "annotations", "categories"):
            if member not in seen:
                raise SourceError(f"{path}: no {member!r} array at the top level; is it a COCO file?")
        return images, categories


def _decode_images(array: bytes) -> list[Any]:
    try:
        return _IMAGES.decode(array)
    except msgspec.DecodeError:
        return [_lenient_image(record) for record in lenient(array)]


def _lenient_image(record: Any) -> _Image:
    """A record that does not fit, with what is usable of it."""
    record = record if isinstance(record, dict) else {}
    identity = record.get("id")
    size = [record.get(k) for k in ("width", "height")]
    width, height = (int(v) if isinstance(v, int | float) and 0 < v < 2**31 else 0 for v in size)
    name = record.get("file_name")
    return _Image(
        identity if isinstance(identity, int | str) else None,  # type: ignore[arg-type]
        width,
        height,
        name if isinstance(name, str) else None,
    )


def _image_records(stream: JsonStream, ids: Ids, file_name: Callable[[str], str]) -> ImageRecords:
    codes, sizes, names = [], [], []
    for batch in stream.elements(_decode_images):
        codes.append(ids.codes([r.id for r in batch]))
        sizes.append(np.clip([(r.width, r.height) for r in batch], 0, 2**31 - 1).astype(np.int32))
        files = [None if r.file_name is None else file_name(r.file_name) for r in batch]
        names.append(pa.array(files, pa.string()))
    if not codes:
        return ImageRecords()
    return ImageRecords(np.concatenate(codes), np.concatenate(sizes), pa.concat_arrays(names))


def _decode_annotations(array: bytes) -> dict[str, np.ndarray] | list[Any]:
    """Columns where the records are all alike, otherwise records."""
    columns = uniform_columns(array)
    return _decode_each(array) if columns is None else columns


def _decode_each(array: bytes) -> list[Any]:
    for text in (without_polygons(array), array):
        try:
            return _ANNOTATIONS.decode(text)
        except msgspec.ValidationError:
            break
        except msgspec.DecodeError:
            continue
    return [_lenient_annotation(record) for record in lenient(array)]


def _lenient_annotation(record: Any) -> _Annotation:
    """A record that does not fit, with what is usable of it; `box_id` says if something needed is not."""
    record = record if isinstance(record, dict) else {}
    box = record.get("bbox")
    box = box if isinstance(box, list) else []
    # an integer too large for a float is no coordinate
    numeric = [isinstance(v, float) or (type(v) is int and abs(v) < 2**1000) for v in box]
    numbers = numeric == [True] * 4
    whole = numbers and all(isinstance(record.get(k), int | str) for k in ("image_id", "category_id"))
    source, place = record.get("source_id"), record.get("box_id")
    return _Annotation(
        record.get("image_id"),  # type: ignore[arg-type]
        record.get("category_id"),  # type: ignore[arg-type]
        tuple(box) if numbers else (np.nan,) * 4,  # type: ignore[arg-type]
        record.get("id"),
        bool(record.get("iscrowd", 0)),
        (place if isinstance(place, int) else -1) if whole else _MALFORMED,
        source if isinstance(source, str) else None,
    )


def _uniform_records(columns: dict[str, np.ndarray], ids: Ids) -> np.ndarray:
    records = np.zeros(len(columns["id"]), BOX)
    records["image"] = ids.codes(columns["image_id"])
    records["category"] = ids.codes(columns["category_id"])
    records["annotation"] = records["source"] = ids.codes(columns["id"])
    records["xywh"] = columns["bbox"]
    records["crowd"] = columns["iscrowd"]
    records["box_id"] = -1
    return records


def _box_records(batch: dict[str, np.ndarray] | list[Any], ids: Ids, start: int) -> np.ndarray:
    """Annotations as spool records; `start` is the place of the first one in the file."""
    if isinstance(batch, dict):
        return _uniform_records(batch, ids)
    records = np.empty(len(batch), BOX)
    records["image"] = ids.codes([r.image_id for r in batch])
    records["category"] = ids.codes([r.category_id for r in batch])
    records["annotation"] = ids.codes([r.id for r in batch])
    records["xywh"] = np.fromiter(
        chain.from_iterable([r.bbox for r in batch]), np.float64, 4 * len(batch)
    ).reshape(-1, 4)
    records["crowd"] = np.array([r.iscrowd for r in batch], bool)
    places = np.array([r.box_id for r in batch])
    records["malformed"] = places == _MALFORMED
    records["box_id"] = np.maximum(places, -1)
    unnamed = records["annotation"] == NONE
    records["source"] = np.where(unnamed, np.arange(start, start + len(batch)), records["annotation"])
    sources = [r.source_id for r in batch]
    for k in np.flatnonzero([s is not None for s in sources]).tolist() if any(sources) else ():
        records["source"][k] = ids.code(sources[k])
    return records


def _spool_relations(batch: list[Any], ids: Ids, relations: RelationSpool) -> None:
    """The `relations` list `relforge export --to coco` writes."""
    rows = [record if isinstance(record, dict) else {} for record in batch]
    image, subject, object_ = (
        ids.codes([row.get(k) for row in rows]) for k in ("image_id", "subject_id", "object_id")
    )
    relations.add(image, subject, object_, [json.dumps(row).encode() for row in rows])
