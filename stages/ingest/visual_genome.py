"""Visual Genome `scene_graphs.json`: an image at a time, with its objects and relationships.

From https://homes.cs.washington.edu/~ranjay/visualgenome/api.html, version 1.4. On disk:

    image_data.json         [{"image_id", "width", "height", ...}, ...]
    scene_graphs.json       [{"image_id", "objects": [{"object_id", "names": [...], "x", "y", "w", "h"}, ...],
                              "relationships": [{"subject_id", "predicate", "object_id"}, ...]}, ...]
    VG_100K/2315353.jpg     <image_id>.jpg; the second half lies in VG_100K_2

Boxes are in pixels from the top-left corner. Object ids are unique in an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from relforge.stages.contract import SourceError, StageResult
from relforge.stages.ingest.by_image import BoxRecord, ImageRecord, RelationRecord, build_shards
from relforge.stages.ingest.ids import Ids
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.ingest.json_stream import JsonStream, decode_lenient, open_source

Size = tuple[Any, Any]
"""Width and height as a file has them."""


class VisualGenomeSource:
    """Reads a JSON list of images with `objects` and `relationships`; the relations become `gold`.

    Records are taken an image at a time, in file order. Of an exact repetition of a relation the first is
    kept, with the highest confidence. Names with spaces in a row are tidied.

    Args:
        annotations: path or URI of the scene graphs.
        image_data: path or URI of `image_data.json`, which has the image sizes; not needed where the
            records themselves have `width` and `height`.
        images: folder, URI or pattern of the image files (`ImageFiles`); a folder holds `<image_id>.jpg`.
        split, dataset: written to the `images` table where the records have no `data_split`, `dataset`.
        lowercase: lower-case names and predicates, as the published preprocessing does.
        size_from_boxes: where no size is known, take the extent of the boxes.
        require_images, embed_images: see `ImageFiles`.
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
        require_images: bool = False,
        embed_images: bool = False,
    ) -> None:
        self._path = annotations
        self._image_data = image_data
        self._image_files = ImageFiles(images, require_images, embed_images)
        self._split = split
        self._dataset = dataset
        self._lowercase = lowercase
        self._size_from_boxes = size_from_boxes

    def files(self) -> Sequence[str]:
        return [self._path, *([self._image_data] if self._image_data else [])]

    def shards(self, shard_images: int, relations: bool = False) -> Iterator[StageResult]:
        return build_shards(
            self._images(), shard_images, self._image_files, self._dataset, self._split, relations
        )

    def _images(self) -> Iterator[ImageRecord]:
        ids = Ids()
        sizes = _sizes(self._image_data, ids) if self._image_data else {}
        with open_source(self._path) as file:
            stream = JsonStream(file, self._path)
            if not stream.is_array():
                raise SourceError(f"{self._path}: expected a JSON list of images; is it a COCO file?")
            for record in chain.from_iterable(stream.elements(_decode)):
                record = record if isinstance(record, dict) else {}
                yield self._image(record, sizes.get(ids.code(record.get("image_id"))))

    def _image(self, record: Mapping[str, Any], known_size: Size | None) -> ImageRecord:
        objects, relationships = (
            value if isinstance(value := record.get(k, []), list) else [value]
            for k in ("objects", "relationships")
        )
        image_id = record.get("image_id")
        width, height = self._size(record, objects, known_size)
        dataset, split = (str(record[k]) if k in record else None for k in ("dataset", "data_split"))
        return ImageRecord(
            image_id,
            width,
            height,
            f"{image_id}.jpg",
            [self._box(one if isinstance(one, dict) else {}) for one in objects],
            [self._relation(one if isinstance(one, dict) else {}) for one in relationships],
            dataset,
            split,
        )

    def _box(self, record: Mapping[str, Any]) -> BoxRecord:
        # Visual Genome has lists of names, its preprocessed form and RLIPv2's files one name
        names = record.get("names", record.get("name"))
        name = names[0] if isinstance(names, list) and names else names
        return BoxRecord(
            record.get("object_id"),
            self._text(name),
            (record.get("x"), record.get("y"), record.get("w"), record.get("h")),
            record.get("iscrowd", 0),
            record.get("box_id"),
        )

    def _relation(self, record: Mapping[str, Any]) -> RelationRecord:
        predicate = self._text(record.get("predicate"))
        score = record.get("confidence", 1.0)
        return RelationRecord(record.get("subject_id"), predicate, record.get("object_id"), score)

    def _text(self, value: object) -> object:
        if not isinstance(value, str):
            return value
        text = " ".join(value.split())
        return text.lower() if self._lowercase else text

    def _size(self, record: Mapping[str, Any], objects: list[Any], known: Size | None) -> Size:
        size = (record.get("width"), record.get("height"))
        if size != (None, None):
            return size
        if known:
            return known
        if self._size_from_boxes:
            return _extent(objects)
        if self._image_data is None:
            raise SourceError(
                f"{self._path}: the records have no width and height; set image_data to Visual Genome's "
                "image_data.json, or size_from_boxes to true"
            )
        return size


def _decode(array: bytes) -> list[Any]:
    try:
        found: list[Any] = msgspec.json.decode(array)
    except msgspec.DecodeError:
        return decode_lenient(array)
    return found


def _sizes(path: str, ids: Ids) -> dict[int, Size]:
    """Image id code -> size."""
    sizes: dict[int, Size] = {}
    with open_source(path) as file:
        for record in chain.from_iterable(JsonStream(file, path).elements(_decode)):
            try:
                code = ids.code(record.get("image_id", record.get("id")))
                sizes[code] = (record["width"], record["height"])
            except (AttributeError, KeyError, TypeError) as error:
                raise SourceError(
                    f"{path}: a record has no image_id, width and height: {record!r:.80}"
                ) from error
    return sizes


def _extent(objects: list[Any]) -> Size:
    """The smallest image that holds the boxes, at least one pixel."""
    try:
        ends = [(o["x"] + o["w"], o["y"] + o["h"]) for o in objects]
        return max([1, *(-int(-x // 1) for x, _ in ends)]), max([1, *(-int(-y // 1) for _, y in ends)])
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0, 0
