"""COCO detection JSON, of any size and in any order of its members."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import fsspec

from relforge.stages.contract import StageResult
from relforge.stages.ingest.assemble import Assembler, ImageRecords
from relforge.stages.ingest.coco_boxes import read_boxes
from relforge.stages.ingest.coco_images import read_images
from relforge.stages.ingest.error import SourceError
from relforge.stages.ingest.ids import Ids
from relforge.stages.ingest.json_stream import JsonStream, lenient
from relforge.stages.ingest.pictures import Pictures
from relforge.stages.ingest.spool import BOX, RelationSpool, Spool


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
                    images = read_images(stream, ids, self._file_name)
                elif member == "annotations":
                    for rows in read_boxes(stream, ids):
                        boxes.append(rows)
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


def _spool_relations(batch: list[Any], ids: Ids, relations: RelationSpool) -> None:
    """The `relations` list `relforge export --to coco` writes."""
    rows = [record if isinstance(record, dict) else {} for record in batch]
    image, subject, object_ = (
        ids.codes([row.get(k) for row in rows]) for k in ("image_id", "subject_id", "object_id")
    )
    relations.add(image, subject, object_, [json.dumps(row).encode() for row in rows])
