"""COCO detection JSON, of any size and in any order of its members.

From https://cocodataset.org: `annotations_trainval2017.zip` has `instances_{train,val}2017.json`, and
`train2017.zip` and `val2017.zip` the images; most labelling tools write the same layout. On disk:

    val2017/000000000139.jpg
    annotations/instances_val2017.json
        {"images": [{"id", "file_name", "width", "height"}, ...],
         "annotations": [{"id", "image_id", "category_id", "bbox", "iscrowd"}, ...],
         "categories": [{"id", "name"}, ...]}

LVIS (https://www.lvisdataset.org) has the same layout, and `synonyms` in its categories.

`bbox` is x, y, w, h in pixels from the top-left corner. Annotations are in no order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from relforge.images import MAX_PIXELS
from relforge.stages.class_table import Origin
from relforge.stages.contract import SourceError, StageResult
from relforge.stages.ingest.builder import ShardBuilder
from relforge.stages.ingest.coco_boxes import read_boxes
from relforge.stages.ingest.coco_images import read_images
from relforge.stages.ingest.ids import NONE, Ids
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.ingest.json_stream import JsonStream, decode_lenient, open_source
from relforge.stages.ingest.records import ImageColumns, Records
from relforge.stages.ingest.spill import BOX, RelationBuffer, SpillBuffer
from relforge.stages.ingest.values import as_id, as_text

_MEMBERS = ("images", "annotations", "categories", "relations")


class CocoSource:
    """Reads COCO detection files (`images`, `annotations`, `categories`).

    A record the format does not allow is set aside on its own; the rest of the file is read. Memory is
    about 100 bytes per image and 20 per annotation, whatever else the file holds; boxes beyond 128 MiB spill
    to a temporary file (70 bytes each, in TMPDIR).

    Args:
        annotations: path or URI of the JSON file, or split -> path.
        images: folder, URI or pattern of the image files (`ImageFiles`), or split -> such;
            None where there are none.
        split: name of the split where `annotations` is one file.
        dataset: name written to the `images` table.
        require_images, embed_images, follow_links, orientation, max_pixels: see `ImageFiles`.
        class_name, file_name: what the tables have for a class's name and a record's `file_name`.
    """

    name = "coco"
    version = 2

    def __init__(
        self,
        annotations: str | Mapping[str, str],
        images: str | Mapping[str, str] | None = None,
        split: str = "all",
        dataset: str = "coco",
        require_images: bool = False,
        embed_images: bool = False,
        follow_links: bool = False,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
        class_name: Callable[[str], str] = str,
        file_name: Callable[[str], str] = str,
    ) -> None:
        self._files = {split: annotations} if isinstance(annotations, str) else dict(annotations)
        roots = images if isinstance(images, Mapping) else dict.fromkeys(self._files, images)
        options = (require_images, embed_images, follow_links, orientation, max_pixels)
        self._image_files = {s: ImageFiles(roots.get(s), *options) for s in self._files}
        self._dataset = dataset
        self._class_name = class_name
        self._file_name = file_name

    def files(self) -> Sequence[str]:
        return list(self._files.values())

    def shards(self, shard_images: int, relations: bool = False) -> Iterator[StageResult]:
        ids = Ids()
        builder = ShardBuilder(ids, shard_images, relations)
        for split, path in self._files.items():
            with SpillBuffer(BOX) as boxes, RelationBuffer() as relation_buffer:
                images, categories, listed = self._read(path, ids, boxes, relation_buffer)
                images.dataset, images.split = self._dataset, split
                records = Records(images, boxes, relation_buffer, categories, file=path, **listed)
                yield from builder.shards(records, self._image_files[split])

    def _read(
        self, path: str, ids: Ids, boxes: SpillBuffer, relations: RelationBuffer
    ) -> tuple[ImageColumns, dict[int, str], dict[str, Any]]:
        """Read one file, boxes and relations into their buffers; what it says of its classes comes last."""
        images, seen = ImageColumns(), set()
        categories: dict[int, str] = {}
        classes: dict[str, list[str]] = {}
        origins: dict[str, Origin] = {}
        with open_source(path) as file:
            stream = JsonStream(file, path)
            for member in stream.members():
                if member in seen and member in _MEMBERS:
                    raise SourceError(f"{path}: the member {member!r} is given twice; join the two lists")
                seen.add(member)
                if member == "images":
                    images = read_images(stream, ids, self._file_name)
                elif member == "annotations":
                    for rows in read_boxes(stream, ids):
                        boxes.append(rows)
                elif member == "relations" and stream.is_array():
                    for batch in stream.elements(decode_lenient):
                        _add_relations(batch, ids, relations)
                elif member == "categories":
                    for number, name, synonyms, above in self._categories(stream):
                        code = ids.code(number)
                        if code != NONE and categories.setdefault(code, name) != name:
                            raise SourceError(
                                f"{path}: categories: id {ids.text(code)} is given twice, as "
                                f"{categories[code]!r} and as {name!r}; give each class an id of its own"
                            )
                        classes.setdefault(name, []).extend(synonyms)
                        origins.setdefault(name, Origin(ids.text(code) or None, above))
        for member in _MEMBERS[:3]:
            if member not in seen:
                raise SourceError(f"{path}: no {member!r} array at the top level; is it a COCO file?")
        return images, categories, {"classes": classes, "origins": origins}

    def list_classes(self) -> dict[str, list[str]]:
        """Every class that the files list -> the synonyms they give; reads past all else."""
        classes: dict[str, list[str]] = {}
        for path in self._files.values():
            with open_source(path) as file:
                stream = JsonStream(file, path)
                for member in stream.members():
                    for _, name, synonyms, _ in self._categories(stream) if member == "categories" else ():
                        classes.setdefault(name, []).extend(synonyms)
        return classes

    def _categories(self, stream: JsonStream) -> Iterator[tuple[Any, str, list[str], str | None]]:
        """Id, class name, synonyms and supercategory of the categories that have a name."""
        for record in chain.from_iterable(stream.elements(decode_lenient)):
            if isinstance(record, dict) and (as_text(record.get("name")) or "").strip():
                given = record.get("synonyms")
                words = (
                    [one for one in given if (as_text(one) or "").strip()] if isinstance(given, list) else []
                )
                above = as_text(record.get("supercategory")) or None
                yield record.get("id"), self._class_name(record["name"]), words, above


def _add_relations(batch: list[Any], ids: Ids, relations: RelationBuffer) -> None:
    """The `relations` list `relforge export --to coco` writes."""
    rows = [record if isinstance(record, dict) else {} for record in batch]
    image, subject, object_ = (
        ids.codes([as_id(row.get(k)) for row in rows]) for k in ("image_id", "subject_id", "object_id")
    )
    relations.add(image, subject, object_, [_payload(row) for row in rows])


def _payload(record: dict[str, Any]) -> bytes:
    try:
        return json.dumps(record).encode()
    except (ValueError, RecursionError):
        return b"null"  # no value that a relation may have
