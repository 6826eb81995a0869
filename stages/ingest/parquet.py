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

from relforge.stages.contract import SourceError, StageResult
from relforge.stages.ingest.builder import ShardBuilder
from relforge.stages.ingest.ids import NONE, Ids
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.ingest.records import ImageColumns, Records
from relforge.stages.ingest.spill import BOX, RelationBuffer, SpillBuffer

_NUMBERS = {"x": pa.float64(), "y": pa.float64(), "w": pa.float64(), "h": pa.float64()}
IMAGE_COLUMNS = {"image_id": pa.string(), "width": pa.int32(), "height": pa.int32()}
BOX_COLUMNS = {"image_id": pa.string(), "category": pa.string(), **_NUMBERS}
RELATION_COLUMNS = {
    "image_id": pa.string(),
    "subject_box": pa.int64(),
    "object_box": pa.int64(),
    "predicate": pa.string(),
}
_MORE = ("position", "support", "caption_ids", "rule", "score", "subject_score", "object_score", "tagger")


class ParquetSource:
    """Reads files with the columns of relforge's tables, in any order of rows.

    `images` needs image_id, width, height and may have uri and file_name; `boxes` needs image_id, category,
    x, y, w, h (pixels, top-left) and may have box_id (all or none), iscrowd and source_id; `relations` (or a
    `gold` table) needs image_id, subject_box, object_box (box ids) and predicate, and may have score and the
    other columns of the `relations` table. Ids may be numbers. Further columns are ignored. Memory is about
    100 bytes per image and 20 per box and relation.

    Args:
        root: a folder of `relforge export --to parquet`, in place of the patterns below.
        images, boxes, relations: paths, URIs or glob patterns.
        split, dataset: written to the `images` table.
        require_images, embed_images: see `ImageFiles`; the files are those of the `uri` column.
    """

    name = "parquet"
    version = 1

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
    ) -> None:
        if root is not None:
            names = _found(f"{root.rstrip('/')}/*.parquet")
            images, boxes = (f"{root.rstrip('/')}/{name}.parquet" for name in ("images", "boxes"))
            for name in ("relations", "gold"):
                whole = [path for path in names if path.endswith(f"/{name}.parquet")]
                relations = relations or (whole[0] if whole else None)
        if images is None or boxes is None:
            raise ValueError("parquet needs `root`, or `images` and `boxes`: paths or patterns of the files")
        self._images, self._boxes, self._relations = images, boxes, relations
        # the `uri` column takes the place of a file name
        self._image_files = ImageFiles("{file_name}", require_images, embed_images)
        self._split = split
        self._dataset = dataset

    def files(self) -> Sequence[str]:
        patterns = [p for p in (self._images, self._boxes, self._relations) if p]
        return [path for pattern in patterns for path in _found(pattern)]

    def shards(self, shard_images: int, relations: bool = False) -> Iterator[StageResult]:
        ids = Ids()
        images = self._image_columns(ids)
        classes: dict[str, int] = {}
        with SpillBuffer(BOX) as boxes, RelationBuffer(by_box_id=True) as relation_buffer:
            for table in _batches(self._boxes, BOX_COLUMNS, ("box_id", "iscrowd", "source_id")):
                boxes.append(_box_rows(table, ids, classes, len(boxes)))
            for table in _batches(self._relations, RELATION_COLUMNS, _MORE) if self._relations else ():
                _add_relations(table, ids, relation_buffer)
            names = {code: name for name, code in classes.items()}
            records = Records(images, boxes, relation_buffer, names)
            yield from ShardBuilder(ids, shard_images, relations).shards(records, self._image_files)

    def _image_columns(self, ids: Ids) -> ImageColumns:
        codes, sizes = [], []
        texts: dict[str, list[pa.Array]] = {"uri": [], "file_name": []}
        for table in _batches(self._images, IMAGE_COLUMNS, tuple(texts)):
            codes.append(ids.codes(table["image_id"].to_pylist()))
            size = [pc.fill_null(table[name], 0).to_numpy() for name in ("width", "height")]
            sizes.append(np.stack(size, axis=1))
            for name, parts in texts.items():
                known = name in table.column_names
                text = pc.cast(table[name], pa.string()).combine_chunks() if known else None
                parts.append(pa.nulls(table.num_rows, pa.string()) if text is None else text)
        if not codes:
            return ImageColumns()
        uris, file_names = (pa.concat_arrays(parts) for parts in texts.values())
        sides = np.concatenate(sizes)
        return ImageColumns(np.concatenate(codes), sides, file_names, self._dataset, self._split, uris=uris)


def _found(pattern: str) -> list[str]:
    """The files of a path, URI or pattern, sorted."""
    filesystem, path = fsspec.core.url_to_fs(pattern)
    return sorted(filesystem.unstrip_protocol(p) for p in filesystem.glob(path))


def _batches(pattern: str, needed: dict[str, pa.DataType], optional: Sequence[str]) -> Iterator[pa.Table]:
    """Row groups of the files with the needed columns cast and the optional ones as they are.

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
                missing = [name for name in needed if name not in parquet.schema_arrow.names]
                if missing:
                    raise SourceError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(needed)}")
                columns = [*needed, *(name for name in optional if name in parquet.schema_arrow.names)]
                for group in range(parquet.num_row_groups):
                    table = parquet.read_row_group(group, columns)
                    for name, kind in needed.items():
                        table = table.set_column(
                            table.column_names.index(name), name, pc.cast(table[name], kind)
                        )
                    yield table
        except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SourceError(f"{path}: cannot read the Parquet file ({error})") from error


def _box_rows(table: pa.Table, ids: Ids, classes: dict[str, int], start: int) -> np.ndarray:
    count = table.num_rows
    records = np.zeros(count, BOX)
    records["image"] = ids.codes(table["image_id"].to_pylist())
    records["annotation"] = np.arange(start, start + count)
    records["source"] = records["annotation"]
    if "source_id" in table.column_names:
        records["source"] = ids.codes(table["source_id"].to_pylist())
    names = table["category"].to_pylist()
    records["category"] = [NONE if n is None else classes.setdefault(n, len(classes)) for n in names]
    for k, name in enumerate("xywh"):
        records["xywh"][:, k] = pc.fill_null(table[name], float("nan")).to_numpy()
    records["box_id"] = -1
    if "box_id" in table.column_names:
        records["box_id"] = pc.cast(table["box_id"], pa.int32()).to_numpy()
    if "iscrowd" in table.column_names:
        records["crowd"] = pc.fill_null(pc.cast(table["iscrowd"], pa.bool_()), False).to_numpy()
    return records


def _add_relations(table: pa.Table, ids: Ids, relations: RelationBuffer) -> None:
    rows: list[dict[str, Any]] = table.drop_columns(["image_id", "subject_box", "object_box"]).to_pylist()
    relations.add(
        ids.codes(table["image_id"].to_pylist()),
        table["subject_box"].to_numpy(),
        table["object_box"].to_numpy(),
        [msgspec.json.encode(row) for row in rows],
    )
