"""Predicted scene graphs as a folder of two Parquet files that anybody can write (docs/formats.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relforge.evaluation.scene_graph_tables import Names, of_tables
from relforge.evaluation.scene_graphs import SceneGraphs

FILES = ("boxes.parquet", "relations.parquet")
BOXES = pa.schema(
    [pa.field("image_id", pa.string()), pa.field("box_id", pa.int64()), pa.field("category", pa.string())]
    + [pa.field(side, pa.float64()) for side in "xywh"]
    + [pa.field("score", pa.float64())]
)
"""Boxes are xywh in pixels of the original image; `score` may be absent where boxes are given."""

RELATIONS = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("subject_box", pa.int64()),
        pa.field("object_box", pa.int64()),
        pa.field("predicate", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("predicate_scores", pa.list_(pa.float64())),
    ]
)
"""Ranked by `score`, or in their order without it; `predicate_scores` may be absent."""

_OPTIONAL = ("score", "predicate_scores")


def is_graph_folder(path: str) -> bool:
    """Whether a path is such a folder."""
    return all((Path(path) / name).is_file() for name in FILES)


def read_graph_folder(path: str, names: Names) -> SceneGraphs:
    """Read the folder.

    Args:
        names: of the gold; every predicate of it has its place in `predicate_scores`.

    Raises:
        ValueError: a column that is missing or of another type, a value that is missing or no finite number,
            a relation of a box that is not there, no relation at all.
    """
    boxes, relations = (
        _read(Path(path) / name, schema) for name, schema in zip(FILES, (BOXES, RELATIONS), strict=True)
    )
    if not relations.num_rows:
        raise ValueError(f"{path}/{FILES[1]} has no rows, so there is nothing to measure")
    try:
        return of_tables(boxes, relations, names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not Parquet: {error}") from error
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            if field.name in _OPTIONAL:
                continue
            wanted = ", ".join(name for name in schema.names if name not in _OPTIONAL)
            raise ValueError(f"{path} has no column {field.name!r}; needed are {wanted}")
        columns.append(field)
    wanted_schema = pa.schema(columns)
    try:
        table = table.select(wanted_schema.names).cast(wanted_schema)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: {error}") from error
    for field in wanted_schema:
        column = table[field.name]
        values = pc.list_flatten(column) if pa.types.is_list(field.type) else column
        finite = not pa.types.is_floating(values.type) or pc.all(pc.is_finite(values)).as_py() in (True, None)
        if column.null_count or values.null_count or not finite:
            raise ValueError(f"{path}: {field.name} has a value that is missing or not finite")
    return table


def write_graph_folder(graphs: SceneGraphs, names: Names, path: Path) -> None:
    """Write scene graphs whose every class and predicate has a name; relations keep their order."""
    path.mkdir(parents=True, exist_ok=True)
    images = np.array(names.images, object)
    box_image, image = graphs.box_images, graphs.images
    corners = graphs.boxes.astype(float)
    boxes = {"image_id": images[box_image], "box_id": np.arange(len(corners)) - graphs.box_start[box_image]}
    boxes["category"] = np.array(names.classes, object)[graphs.labels]
    sides = (corners[:, 0], corners[:, 1], corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    boxes |= dict(zip("xywh", sides, strict=True))
    if graphs.box_scores is not None:
        boxes["score"] = graphs.box_scores
    ends = graphs.pairs - graphs.box_start[image][:, None]
    relations = {"image_id": images[image], "subject_box": ends[:, 0], "object_box": ends[:, 1]}
    relations["predicate"] = np.array(names.predicates, object)[graphs.predicates]
    if graphs.probabilities is not None:
        relations["predicate_scores"] = list(graphs.probabilities[:])
    for name, schema, columns in ((FILES[0], BOXES, boxes), (FILES[1], RELATIONS, relations)):
        fields = [field for field in schema if field.name in columns]
        arrays = [pa.array(columns[field.name], field.type) for field in fields]
        pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), path / name)
