"""Visual Genome `scene_graphs.json`, and the RLIPv2 relation files that have its layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import fsspec
import msgspec

from relforge.stages.contract import StageResult
from relforge.stages.ingest.error import SourceError
from relforge.stages.ingest.ids import NONE, Ids
from relforge.stages.ingest.json_stream import JsonStream, lenient
from relforge.stages.ingest.pictures import Pictures
from relforge.stages.ingest.scene import Scene, Shelf


class VisualGenomeSource:
    """Reads a JSON list of images with `objects` and `relationships`; the relations become `gold`.

    Records are taken an image at a time, in file order. Of an exact repetition of a relation the first is
    kept, with the highest confidence. Names with spaces in a row are tidied.

    Args:
        annotations: path or URI of the scene graphs.
        image_data: path or URI of `image_data.json`, which has the image sizes; not needed where the
            records themselves have `width` and `height`.
        images: folder, URI or pattern of the pictures (`Pictures`); a folder holds `<image_id>.jpg`.
        split, dataset: written to the `images` table where the records have no `data_split`, `dataset`.
        lowercase: lower-case names and predicates, as the published preprocessing does.
        size_from_boxes: where no size is known, take the extent of the boxes.
    """

    name = "visual_genome"
    version = 1

    def __init__(
        self,
        annotations: str,
        image_data: str | None = None,
        images: str | None = None,
        split: str = "all",
        dataset: str = "vg",
        lowercase: bool = True,
        size_from_boxes: bool = False,
    ) -> None:
        self._path = annotations
        self._image_data = image_data
        self._pictures = Pictures(images)
        self._split = split
        self._dataset = dataset
        self._lowercase = lowercase
        self._size_from_boxes = size_from_boxes

    def files(self) -> Sequence[str]:
        return [self._path, *([self._image_data] if self._image_data else [])]

    def shards(self, shard_images: int) -> Iterator[StageResult]:
        for result in self.with_relations(shard_images):
            del result.tables["relations"]
            yield result

    def with_relations(self, shard_images: int) -> Iterator[StageResult]:
        """Like `shards`, with a `relations` table that keeps the confidences of the file."""
        ids, seen = Ids(), set[int]()
        sizes = _sizes(self._image_data, ids) if self._image_data else {}
        records = self._records()
        batch = list(islice(records, shard_images))
        while True:
            shelf = Shelf()
            for record in batch:
                self._file(record, shelf, ids, seen, sizes)
            yield shelf.result()
            batch = list(islice(records, shard_images))
            if not batch:
                return

    def _records(self) -> Iterator[Any]:
        try:
            opened = fsspec.open(self._path, "rb").open()
        except OSError as error:
            raise SourceError(f"{self._path}: cannot read the scene graphs ({error})") from error
        with opened as file:
            stream = JsonStream(file, self._path)
            if not stream.is_array():
                raise SourceError(f"{self._path}: expected a JSON list of images; is it a COCO file?")
            yield from chain.from_iterable(stream.elements(_decode))

    def _file(
        self, record: Any, shelf: Shelf, ids: Ids, seen: set[int], sizes: dict[int, tuple[int, int]]
    ) -> None:
        record = record if isinstance(record, dict) else {}
        objects, relationships = (
            value if isinstance(value := record.get(k, []), list) else [value]
            for k in ("objects", "relationships")
        )
        code = ids.code(record.get("image_id"))
        image_id = ids.text(code)
        width, height = self._size(record, objects, sizes.get(code))
        fault = (
            ("malformed_image", "the record has no usable image_id")
            if code == NONE
            else ("duplicate_image_id", "an earlier record has the same id")
            if code in seen
            else ("bad_image_size", "width or height is missing or not positive")
            if width <= 0 or height <= 0
            else None
        )
        seen.add(code)
        if fault:
            shelf.set_aside(fault[0], f"image {image_id or '?'}: {fault[1]}", image_id=image_id)
            shelf.dropped["image_set_aside"] += len(objects) + len(relationships)
            return
        split = str(record.get("data_split", self._split))
        image = {
            "image_id": image_id,
            "dataset": str(record.get("dataset", self._dataset)),
            "split": split,
            "uri": self._pictures.uri(image_id, f"{image_id}.jpg", split),
            "width": width,
            "height": height,
        }
        Scene(image, objects, relationships, self._lowercase).file(shelf)

    def _size(
        self, record: dict[str, Any], objects: list[Any], known: tuple[int, int] | None
    ) -> tuple[int, int]:
        size = (record.get("width"), record.get("height"))
        if size == (None, None):
            if known:
                return known
            if self._size_from_boxes:
                return _extent(objects)
            if self._image_data is None:
                raise SourceError(
                    f"{self._path}: the records have no width and height; set image_data to Visual Genome's "
                    "image_data.json, or size_from_boxes to true"
                )
        width, height = (v if type(v) is int and 0 < v < 2**31 else 0 for v in size)
        return width, height


def rlipv2(annotations: str, **options: Any) -> VisualGenomeSource:
    """A relation file as RLIPv2's tagger or `relforge export --to rlipv2` writes it: texts are kept as they
    are, and sizes that the published files lack come from the boxes."""
    chosen: dict[str, Any] = {"lowercase": False, "size_from_boxes": True, "dataset": "rlipv2"} | options
    return VisualGenomeSource(annotations, **chosen)


def _decode(array: bytes) -> list[Any]:
    try:
        found: list[Any] = msgspec.json.decode(array)
    except msgspec.DecodeError:
        return lenient(array)
    return found


def _sizes(path: str, ids: Ids) -> dict[int, tuple[int, int]]:
    sizes = {}
    with fsspec.open(path, "rb") as file:
        for record in chain.from_iterable(JsonStream(file, path).elements(_decode)):
            try:
                sizes[ids.code(record.get("image_id", record.get("id")))] = (
                    record["width"],
                    record["height"],
                )
            except (AttributeError, KeyError, TypeError) as error:
                raise SourceError(
                    f"{path}: a record has no image_id, width and height: {record!r:.80}"
                ) from error
    return sizes


def _extent(objects: list[Any]) -> tuple[int, int]:
    """The smallest image that holds the boxes, at least one pixel."""
    try:
        ends = [(o["x"] + o["w"], o["y"] + o["h"]) for o in objects]
        return max([1, *(-int(-x // 1) for x, _ in ends)]), max([1, *(-int(-y // 1) for _, y in ends)])
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0, 0
