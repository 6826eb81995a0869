"""A dataset as Parquet files of a documented layout, and relforge's own Parquet export.

From any program that writes Parquet, or `relforge export --to parquet`. On disk, one file or many for each:

    images.parquet       image_id, width, height, uri, file_name
    boxes.parquet        image_id, category, x, y, w, h (pixels, top-left), box_id, iscrowd, source_id
    relations.parquet    image_id, subject_box, object_box, predicate, score, ...; or gold.parquet
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import fsspec
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relforge.images import MAX_PIXELS
from relforge.stages.contract import SourceError, StageResult
from relforge.stages.ingest.builder import ShardBuilder
from relforge.stages.ingest.columns import (
    read_cells,
    read_flags,
    read_ids,
    read_numbers,
    read_pixels,
    read_texts,
)
from relforge.stages.ingest.ids import NONE, Ids
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.ingest.records import ImageColumns, Records
from relforge.stages.ingest.spill import BOX, RelationBuffer, SpillBuffer
from relforge.stages.ingest.values import as_box_id, as_file_name

IMAGE_COLUMNS = ("image_id", "width", "height")
BOX_COLUMNS = ("image_id", "category", "x", "y", "w", "h")
RELATION_COLUMNS = ("image_id", "subject_box", "object_box", "predicate")
_MORE = ("position", "support", "caption_ids", "rule", "score", "subject_score", "object_score", "tagger")


class ParquetSource:
    """Reads files with the columns of relforge's tables, in any order of rows.

    `images` needs image_id, width, height and may have uri and file_name; `boxes` needs image_id, category,
    x, y, w, h (pixels, top-left) and may have box_id (all or none), iscrowd and source_id; `relations` (or a
    `gold` table) needs image_id, subject_box, object_box (box ids) and predicate, and may have score and the
    other columns of the `relations` table. Ids may be numbers. Further columns are ignored. Memory is about
    100 bytes per image and 20 per box and relation.

    Args:
        root: a folder (no pattern) of `relforge export --to parquet`, in place of the patterns below.
        images, boxes, relations: paths, URIs or glob patterns.
        split, dataset: written to the `images` table.
        require_images, embed_images, follow_links, orientation, max_pixels: see `ImageFiles`; the files
            are those of the `uri` column.
    """

    name = "parquet"
    version = 2

    def __init__(
        self,
        root: str | None = None,
        images: str | None = None,
        boxes: str | None = None,
        relations: str | None = None,
        split: str = "all",
        dataset: str = "parquet",
        require_images: bool = False,
        embed_images: bool = False,
        follow_links: bool = False,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if root is not None:
            folder = root.rstrip("/")
            images, boxes = (f"{folder}/{name}.parquet" for name in ("images", "boxes"))
            for name in ("relations", "gold"):
                there = _found(f"{folder}/{name}.parquet")
                relations = relations or (there[0] if there else None)
        if images is None or boxes is None:
            raise ValueError("parquet needs `root`, or `images` and `boxes`: paths or patterns of the files")
        self._images, self._boxes, self._relations = images, boxes, relations
        # the `uri` column takes the place of a file name
        self._image_files = ImageFiles(
            "{file_name}", require_images, embed_images, follow_links, orientation, max_pixels
        )
        self._split = split
        self._dataset = dataset

    def files(self) -> Sequence[str]:
        patterns = [p for p in (self._images, self._boxes, self._relations) if p]
        return [path for pattern in patterns for path in _found(pattern)]

    def shards(self, shard_images: int, relations: bool = False) -> Iterator[StageResult]:
        ids = Ids()
        images = self._image_columns(ids)
        classes: dict[str, int] = {}
        without = 0  # boxes whose row has no box_id
        with SpillBuffer(BOX) as boxes, RelationBuffer(by_box_id=True) as relation_buffer:
            for table in _batches(self._boxes, BOX_COLUMNS, ("box_id", "iscrowd", "source_id")):
                boxes.append(_box_rows(table, ids, classes, len(boxes)))
                if "box_id" in table.column_names:
                    without += sum(map(_is_none, read_cells(table["box_id"])))
                else:
                    without += table.num_rows
            if 0 < without < len(boxes):
                raise SourceError(
                    f"{self._boxes}: box_id is empty in {without} of {len(boxes)} rows; give it for all boxes"
                    " or for none"
                )
            for table in _batches(self._relations, RELATION_COLUMNS, _MORE) if self._relations else ():
                _add_relations(table, ids, relation_buffer)
            names = {code: name for name, code in classes.items()}
            records = Records(images, boxes, relation_buffer, names, file=self._boxes)
            yield from ShardBuilder(ids, shard_images, relations).shards(records, self._image_files)

    def _image_columns(self, ids: Ids) -> ImageColumns:
        codes, sizes = [], []
        texts: dict[str, list[pa.Array]] = {"uri": [], "file_name": []}
        for table in _batches(self._images, IMAGE_COLUMNS, tuple(texts)):
            codes.append(read_ids(table["image_id"], ids))
            sizes.append(np.stack([read_pixels(table[name]) for name in ("width", "height")], axis=1))
            for name, parts in texts.items():
                known = name in table.column_names
                found = read_cells(table[name]) if known else [None] * table.num_rows
                parts.append(pa.array([as_file_name(cell) for cell in found], pa.string()))
        if not codes:
            return ImageColumns()
        uris, file_names = (pa.concat_arrays(parts) for parts in texts.values())
        sides = np.concatenate(sizes)
        return ImageColumns(np.concatenate(codes), sides, file_names, self._dataset, self._split, uris=uris)


def _found(pattern: str) -> list[str]:
    """The files of a path, URI or pattern, sorted. What exists is no pattern, and brackets in a name are
    none where nothing matches them."""
    filesystem, path = fsspec.core.url_to_fs(pattern)
    if filesystem.exists(path):
        return [filesystem.unstrip_protocol(path)]
    found = filesystem.glob(path) or filesystem.glob(path.replace("[", "[[]"))
    return sorted(filesystem.unstrip_protocol(p) for p in found)


def _batches(pattern: str, needed: Sequence[str], optional: Sequence[str]) -> Iterator[pa.Table]:
    """Row groups of the files with the needed columns and those of the optional ones that they have.

    Raises:
        SourceError: no file, or one that is damaged or lacks a column.
    """
    paths = _found(pattern)
    if not paths:
        raise SourceError(f"{pattern}: no such Parquet files")
    for path in paths:
        try:
            with fsspec.open(path, "rb") as file:
                parquet = pq.ParquetFile(file)
                names = parquet.schema_arrow.names
                if missing := [name for name in needed if name not in names]:
                    raise SourceError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(needed)}")
                columns = [*needed, *(name for name in optional if name in names)]
                if twice := [name for name in columns if names.count(name) > 1]:
                    raise SourceError(f"{path}: the column {twice[0]} is given twice; keep one")
                for group in range(parquet.num_row_groups):
                    yield _plain(parquet.read_row_group(group, columns))
        except SourceError:
            raise
        except (OSError, ValueError, pa.ArrowException) as error:
            what = " ".join(str(error).split())
            raise SourceError(f"{path}: cannot read the Parquet file ({what})") from error


def _plain(table: pa.Table) -> pa.Table:
    """The table without dictionaries."""
    for place, column in enumerate(table.columns):
        if pa.types.is_dictionary(column.type):
            values = pc.cast(column, column.type.value_type)
            table = table.set_column(place, table.column_names[place], values)
    return table


def _box_rows(table: pa.Table, ids: Ids, classes: dict[str, int], start: int) -> np.ndarray:
    count = table.num_rows
    records = np.zeros(count, BOX)
    records["image"] = read_ids(table["image_id"], ids)
    records["annotation"] = np.arange(start, start + count)
    records["source"] = records["annotation"]
    if "source_id" in table.column_names:
        records["source"] = read_ids(table["source_id"], ids)
    names = read_texts(table["category"])
    records["category"] = [NONE if n is None else classes.setdefault(n, len(classes)) for n in names]
    for k, name in enumerate("xywh"):
        records["xywh"][:, k], wrong = read_numbers(table[name])
        records["malformed"] |= wrong
    records["box_id"] = -1
    if "box_id" in table.column_names:
        cells = read_cells(table["box_id"])
        records["box_id"] = [as_box_id(cell) for cell in cells]
        records["malformed"] |= [as_box_id(cell) < 0 and not _is_none(cell) for cell in cells]
    if "iscrowd" in table.column_names:
        records["crowd"], wrong = read_flags(table["iscrowd"])
        records["malformed"] |= wrong
    return records


def _is_none(cell: object) -> bool:
    return cell is None or cell != cell  # NaN is what other programs write for none


def _add_relations(table: pa.Table, ids: Ids, relations: RelationBuffer) -> None:
    subjects, objects = (
        [NONE if (number := as_box_id(cell)) < 0 else number for cell in read_cells(table[name])]
        for name in ("subject_box", "object_box")
    )
    rest = table.drop_columns(["image_id", "subject_box", "object_box"])
    columns = [read_cells(column) for column in rest.columns]
    payloads = [
        _payload(dict(zip(rest.column_names, row, strict=True))) for row in zip(*columns, strict=True)
    ]
    ends = np.array(subjects, np.int64), np.array(objects, np.int64)
    relations.add(read_ids(table["image_id"], ids), *ends, payloads)


def _payload(row: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(row)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return b"null"  # no value that a relation may have
