"""Sources whose files hold an image at a time, with its boxes and relations inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from relforge.stages.contract import StageResult
from relforge.stages.ingest.builder import ShardBuilder
from relforge.stages.ingest.ids import Ids
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.ingest.records import ImageColumns, Records
from relforge.stages.ingest.spill import BOX, RelationBuffer, SpillBuffer
from relforge.stages.ingest.values import (
    as_box_id,
    as_file_name,
    as_flag,
    as_id,
    as_pixels,
    as_text,
    is_number,
)


@dataclass(slots=True)
class BoxRecord:
    """One box as the file has it. Any value may be of any type: the shard builder checks them all.

    Args:
        id: number or text, unique in the image; relations name the box by it.
        category: class name.
        xywh: left, top, width and height in pixels.
        crowd: whether the box is around a group.
        box_id: the box's number in relforge's tables, where relforge wrote the file; None: its place.
    """

    id: object
    category: object
    xywh: Sequence[object]
    crowd: object = False
    box_id: object = None


@dataclass(slots=True)
class RelationRecord:
    """One relation as the file has it.

    Args:
        subject_id, object_id: ids of boxes of the same image.
        predicate: text.
        score: in [0, 1].
    """

    subject_id: object
    predicate: object
    object_id: object
    score: object = 1.0


@dataclass(slots=True)
class ImageRecord:
    """One image as the file has it.

    Args:
        image_id: number or text.
        width, height: pixels.
        file_name: what is joined to the images folder; None where there is no file.
        boxes, relations: in the order of the file.
        dataset, split: where the record has them; None: those of the source.
    """

    image_id: object
    width: object
    height: object
    file_name: object = None
    boxes: Sequence[BoxRecord] = ()
    relations: Sequence[RelationRecord] = ()
    dataset: object = None
    split: object = None


def build_shards(
    images: Iterable[ImageRecord],
    shard_images: int,
    image_files: ImageFiles,
    dataset: str,
    split: str,
    relations: bool = False,
    file: str = "",
) -> Iterator[StageResult]:
    """Shards of consecutive images, read as a stream.

    Args:
        images: records, in the order of the files; the same at every read.
        shard_images: images per shard.
        image_files: where the image files are.
        dataset, split: written to the `images` table.
        relations: make a `relations` table too.
        file: what errors call the dataset; empty: its name.

    Raises:
        SourceError: the boxes are not in pixels (`ShardBuilder.end`).
    """
    ids = Ids()
    builder = ShardBuilder(ids, shard_images, relations)
    file = file or f"dataset {dataset}"
    stream = iter(images)
    batch = list(islice(stream, shard_images))
    while True:
        with SpillBuffer(BOX) as boxes, RelationBuffer() as relation_buffer:
            categories = _add_boxes(batch, ids, boxes)
            _add_relations(batch, ids, relation_buffer)
            columns = _image_columns(batch, ids, dataset, split)
            records = Records(columns, boxes, relation_buffer, categories, nested=True, file=file)
            yield from builder.shards(records, image_files)
        batch = list(islice(stream, shard_images))
        if not batch:
            builder.end()
            return


def _image_columns(batch: Sequence[ImageRecord], ids: Ids, dataset: str, split: str) -> ImageColumns:
    sizes = [(as_pixels(image.width), as_pixels(image.height)) for image in batch]
    datasets, splits = (
        pa.array([default if (own := as_text(getattr(image, name))) is None else own for image in batch])
        for name, default in (("dataset", dataset), ("split", split))
    )
    return ImageColumns(
        ids.codes([as_id(image.image_id) for image in batch]),
        np.array(sizes, np.int32).reshape(-1, 2),
        pa.array([as_file_name(image.file_name) for image in batch], pa.string()),
        datasets,
        splits,
    )


def _add_boxes(batch: Sequence[ImageRecord], ids: Ids, buffer: SpillBuffer) -> dict[int, str]:
    """Append the batch's boxes; gives their classes, code -> name."""
    found = [(row, box if _fits(box) else _UNFIT) for row, image in enumerate(batch) for box in image.boxes]
    boxes = [box for _, box in found]
    classes: dict[Any, int] = {}
    rows = np.empty(len(boxes), BOX)
    rows["image"] = [row for row, _ in found]
    rows["annotation"] = rows["source"] = ids.codes([as_id(box.id) for box in boxes])
    rows["category"] = [classes.setdefault(box.category, len(classes)) for box in boxes]
    rows["xywh"] = np.array([tuple(box.xywh) for box in boxes], np.float64).reshape(-1, 4)
    rows["box_id"] = [as_box_id(box.box_id) for box in boxes]
    rows["crowd"] = [as_flag(box.crowd) for box in boxes]
    rows["malformed"] = [box is _UNFIT for box in boxes]
    buffer.append(rows)
    return {code: name for name, code in classes.items() if name is not None}


def _add_relations(batch: Sequence[ImageRecord], ids: Ids, buffer: RelationBuffer) -> None:
    found = [(row, relation) for row, image in enumerate(batch) for relation in image.relations]
    buffer.add(
        np.array([row for row, _ in found], np.int64),
        ids.codes([as_id(relation.subject_id) for _, relation in found]),
        ids.codes([as_id(relation.object_id) for _, relation in found]),
        [_payload(relation) for _, relation in found],
    )


def _payload(relation: RelationRecord) -> bytes:
    try:
        return msgspec.json.encode({"predicate": relation.predicate, "score": relation.score})
    except (TypeError, ValueError, OverflowError, RecursionError):
        return b"null"  # no value that a relation may have


_UNFIT = BoxRecord(None, None, (np.nan,) * 4)
"""In place of a box that does not fit. It has no id: a relation that names the box names nothing."""


def _fits(box: BoxRecord) -> bool:
    category = as_text(box.category)
    return (
        as_id(box.id) is not None
        and category is not None
        and category.strip() != ""
        and as_flag(box.crowd) is not None
        and isinstance(box.xywh, Sequence)
        and len(box.xywh) == 4
        and all(map(is_number, box.xywh))
    )
