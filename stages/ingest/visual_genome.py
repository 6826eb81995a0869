"""Visual Genome `scene_graphs.json`: an image at a time, with its objects and relationships.

From https://homes.cs.washington.edu/~ranjay/visualgenome/api.html, version 1.4. On disk:

    image_data.json         [{"image_id", "width", "height", ...}, ...]
    scene_graphs.json       [{"image_id", "objects": [{"object_id", "names": [...], "x", "y", "w", "h"}, ...],
                              "relationships": [{"subject_id", "predicate", "object_id"}, ...]}, ...]
    VG_100K/2315353.jpg     <image_id>.jpg; the rest is in VG_100K_2, as `url` in image_data.json gives

Boxes are in pixels from the top-left corner. Object ids are unique in an image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from relforge.images import MAX_PIXELS
from relforge.stages.contract import SourceError, StageResult
from relforge.stages.ingest.by_image import BoxRecord, ImageRecord, RelationRecord, build_shards
from relforge.stages.ingest.ids import NONE, Ids
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.ingest.json_stream import JsonStream, decode_any, open_source
from relforge.stages.ingest.values import as_id, as_pixels, as_text, is_number

Size = tuple[Any, Any]
"""Width and height as a file has them."""

FOLDERS = ("VG_100K", "VG_100K_2")
"""The two folders that Visual Genome's images come in."""


class VisualGenomeSource:
    """Reads a JSON list of images with `objects` and `relationships`; the relations become `gold`.

    Records are taken an image at a time, in file order. Of an exact repetition of a relation the first is
    kept, with the highest confidence. Names with spaces in a row are tidied.

    Args:
        annotations: path or URI of the scene graphs.
        image_data: path or URI of `image_data.json`, which has the image sizes; not needed where the
            records themselves have `width` and `height`.
        images: folder, URI or pattern of the image files, or a list of them (`ImageFiles`); a folder holds
            `<image_id>.jpg`. Where it is one of Visual Genome's two, `VG_100K` and `VG_100K_2`, and
            `image_data` has by `url` that an image is in the other, the file is searched there.
        split, dataset: written to the `images` table where the records have no `data_split`, `dataset`.
        lowercase: lower-case names and predicates, as the published preprocessing does.
        size_from_boxes: where no size is known, take the extent of the boxes.
        require_images, embed_images, follow_links, orientation, max_pixels: see `ImageFiles`.
    """

    name = "visual_genome"
    version = 2

    def __init__(
        self,
        annotations: str,
        image_data: str | None = None,
        images: str | Sequence[str] | None = None,
        split: str = "all",
        dataset: str = "vg",
        lowercase: bool = True,
        size_from_boxes: bool = False,
        require_images: bool = False,
        embed_images: bool = False,
        follow_links: bool = False,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._path = annotations
        self._image_data = image_data
        self._folder = ""  # of the image files of which no other is known
        if isinstance(images, str) and PurePosixPath(images).name in FOLDERS:
            images, _, self._folder = f"./{images}".rstrip("/").rpartition("/")
            images = images.removeprefix("./") if images != "." else images
        self._image_files = ImageFiles(
            images, require_images, embed_images, follow_links, orientation, max_pixels
        )
        self._split = split
        self._dataset = dataset
        self._lowercase = lowercase
        self._size_from_boxes = size_from_boxes

    def files(self) -> Sequence[str]:
        return [self._path, *([self._image_data] if self._image_data else [])]

    def shards(self, shard_images: int, relations: bool = False) -> Iterator[StageResult]:
        images = self._images()
        options = (self._dataset, self._split, relations, self._path)
        return build_shards(images, shard_images, self._image_files, *options)

    def _images(self) -> Iterator[ImageRecord]:
        ids = Ids()
        sizes, folders = _image_data(self._image_data, ids) if self._image_data else ({}, {})
        sized = self._image_data is not None or self._size_from_boxes
        with open_source(self._path) as file:
            stream = JsonStream(file, self._path)
            if not stream.is_array():
                raise SourceError(f"{self._path}: expected a JSON list of images; is it a COCO file?")
            for record in chain.from_iterable(stream.elements(decode_any)):
                record = record if isinstance(record, dict) else {}
                sized = sized or bool(record.keys() & {"width", "height"})
                if record and not sized:
                    raise SourceError(
                        f"{self._path}: the records have no width and height; set image_data to Visual "
                        "Genome's image_data.json, or size_from_boxes to true"
                    )
                code = ids.code(record.get("image_id"))
                yield self._image(record, sizes.get(code), folders.get(code, self._folder))
            stream.end()

    def _image(self, record: Mapping[str, Any], known_size: Size | None, folder: str) -> ImageRecord:
        objects, relationships = (
            value if isinstance(value := record.get(k, []), list) else [value]
            for k in ("objects", "relationships")
        )
        image_id = as_id(record.get("image_id"))
        width, height = self._size(record, objects, known_size)
        name = record.get("file_name")  # `relforge export --to vg file_names=true` writes it
        return ImageRecord(
            image_id,
            width,
            height,
            name if name is not None else f"{folder}/{image_id}.jpg" if self._folder else f"{image_id}.jpg",
            [self._box(one if isinstance(one, dict) else {}) for one in objects],
            [self._relation(one if isinstance(one, dict) else {}) for one in relationships],
            record.get("dataset"),
            record.get("data_split"),
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
        return _extent(objects) if self._size_from_boxes else size


def _image_data(path: str, ids: Ids) -> tuple[dict[int, Size], dict[int, str]]:
    """Image id code -> size, and -> the folder of `FOLDERS` that `url` names.

    Of an image that is given twice with two sizes no size is known: it is open which one its boxes are for.
    """
    sizes: dict[int, Size] = {}
    folders: dict[int, str] = {}
    with open_source(path) as file:
        stream = JsonStream(file, path)
        for record in chain.from_iterable(stream.elements(decode_any)):
            record = record if isinstance(record, dict) else {}
            code = ids.code(record.get("image_id", record.get("id")))
            if not {"width", "height"} <= record.keys():
                raise SourceError(f"{path}: a record has no image_id, width and height: {record!r:.80}")
            size = as_pixels(record["width"]), as_pixels(record["height"])
            if code == NONE:
                continue  # an image without id is set aside where the scene graphs have it
            sizes[code] = size if sizes.setdefault(code, size) == size else (0, 0)
            folder = PurePosixPath(as_text(record.get("url")) or "").parent.name
            if folder in FOLDERS:
                folders[code] = folder
        stream.end()
    return sizes, folders


def _extent(objects: list[Any]) -> Size:
    """The smallest image that holds the boxes that are some, at least one pixel."""
    width = height = 1
    for one in objects:
        numbers = [one.get(k) if isinstance(one, dict) else None for k in "xywh"]
        x, y, w, h = (float(n) if is_number(n) else math.inf for n in numbers)
        if math.isfinite(x + y + w + h):
            width, height = max(width, math.ceil(x + w)), max(height, math.ceil(y + h))
    return width, height
