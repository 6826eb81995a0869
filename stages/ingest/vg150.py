"""VG150: the 150 classes and 50 predicates of Visual Genome that scene-graph papers train and evaluate on.

From https://github.com/KaihuaTang/Scene-Graph-Benchmark.pytorch (DATASET.md). On disk:

    VG-SGG-with-attri.h5            boxes, relations and split of every image
    VG-SGG-dicts-with-attri.json    names of classes and predicates
    image_data.json                 id, width and height of every image, in the order of the HDF5 file
    VG_100K/2315353.jpg             <image_id>.jpg, all in one folder

`vg150_file` says what the arrays hold. A relation that is annotated twice is dropped as `repeated_relation`;
`relforge eval vg_sgg` reads the files by itself and counts it twice, as published evaluators do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from relforge.images import MAX_PIXELS
from relforge.stages.contract import StageResult
from relforge.stages.ingest.by_image import BoxRecord, ImageRecord, RelationRecord, build_shards
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.ingest.values import as_id
from relforge.stages.ingest.vg150_file import ROUNDINGS, Vg150, local_rows, read_names, read_vg150


class Vg150Source:
    """Reads the three files; the relations become `gold`.

    Args:
        annotations: path or URI of `VG-SGG-with-attri.h5`.
        dictionary: of `VG-SGG-dicts-with-attri.json`.
        image_data: of `image_data.json`.
        images: folder, URI or pattern of the image files, or a list of them (`ImageFiles`); a folder holds
            `<image_id>.jpg`.
        split: `train`, `val` or `test`; any other name stands for all images. Also written to the `images`
            table, as `dataset` is.
        val_images: the first images of the training rows are `val`.
        keep_empty: keep images without a relation; the published splits have none (false).
        box_rounding: `published` truncates corners as every published reader does, `exact` does not.
        require_images, embed_images, follow_links, orientation, max_pixels: see `ImageFiles`.
    """

    name = "vg150"
    version = 1

    def __init__(
        self,
        annotations: str,
        dictionary: str,
        image_data: str,
        images: str | Sequence[str] | None = None,
        split: str = "all",
        val_images: int = 5000,
        keep_empty: bool = True,
        box_rounding: str = "published",
        dataset: str = "vg150",
        require_images: bool = False,
        embed_images: bool = False,
        follow_links: bool = False,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if box_rounding not in ROUNDINGS:
            raise ValueError(f"box_rounding: {box_rounding!r}; choose one of {', '.join(ROUNDINGS)}")
        self._files = (annotations, dictionary, image_data)
        self._image_files = ImageFiles(
            images, require_images, embed_images, follow_links, orientation, max_pixels
        )
        self._split, self._val_images, self._keep_empty = split, val_images, keep_empty
        self._rounding, self._dataset = box_rounding, dataset

    def files(self) -> Sequence[str]:
        return self._files

    def shards(self, shard_images: int, relations: bool = False) -> Iterator[StageResult]:
        data = read_vg150(*self._files, self._rounding)
        rows = data.rows(self._split, self._val_images, self._keep_empty)
        images = (_image(data, row) for row in rows.tolist())
        options = (self._dataset, self._split, relations, self._files[0])
        return build_shards(images, shard_images, self._image_files, *options)

    def list_classes(self) -> dict[str, list[str]]:
        """The names of the dictionary."""
        return {name: [] for name in read_names(self._files[1])[0]}


def _image(data: Vg150, row: int) -> ImageRecord:
    record = data.records[row]
    boxes = local_rows(int(data.box_first[row]), int(data.box_last[row]))
    relations = local_rows(int(data.relation_first[row]), int(data.relation_last[row]))
    image_id = as_id(record.get("image_id"))
    return ImageRecord(
        image_id,
        record.get("width"),
        record.get("height"),
        record.get("file_name", f"{image_id}.jpg"),  # `relforge export --to vg150 file_names=true` writes it
        [_box(data, box) for box in boxes],
        [_relation(data, relation) for relation in relations],
    )


def _box(data: Vg150, row: int) -> BoxRecord:
    return BoxRecord(row, _name(data.classes, int(data.labels[row])), data.boxes[row].tolist())


def _relation(data: Vg150, row: int) -> RelationRecord:
    subject, object_ = data.pairs[row].tolist()
    return RelationRecord(subject, _name(data.predicates, int(data.relations[row])), object_)


def _name(names: Sequence[str], number: int) -> Any:
    """The name of a number; None, which is set aside, for one that has no name."""
    return names[number - 1] if 1 <= number <= len(names) else None
