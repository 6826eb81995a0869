"""Detections as a Parquet table that anybody can write: one row per detected (subject, predicate, object)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from relforge.evaluation.pairs import Pairs
from relforge.models.files import PUBLISHED_SUFFIXES
from relforge.stages.export.publish import publish

_NAMES = ("image_id", "subject", "predicate", "object")
_BOXES = tuple(f"{end}_{side}" for end in ("subject", "object") for side in "xywh")
DETECTIONS = pa.schema(
    [pa.field(name, pa.string()) for name in _NAMES]
    + [pa.field(name, pa.float64()) for name in (*_BOXES, "score")]
)
"""Boxes are xywh in pixels of the original image; scores rank, the largest first (docs/formats.md)."""


PARTS = ("subject_score", "relation_score", "object_score")
"""Columns that may be absent: `Pairs.parts`."""

FORMULAS = {
    "stored": ("score",),
    "relation": ("relation_score",),
    "relation*object": ("relation_score", "object_score"),
    "subject*relation*object": ("subject_score", "relation_score", "object_score"),
}
"""Name of a score formula -> the columns whose product ranks; all but `score` may be absent otherwise."""


def is_model(target: str) -> bool:
    """Whether it is a model, which then detects, and no table: its folder, or a file of its authors."""
    if (Path(target) / "config.json").is_file():
        return True
    if not Path(target).is_file():
        return False
    return target.endswith(PUBLISHED_SUFFIXES)


def read_detections(path: str, formula: str = "stored") -> Pairs:
    """Read a file, or all Parquet files of a folder.

    Args:
        formula: one of `FORMULAS`.

    Raises:
        ValueError: no such file or formula, a column that is missing or of another type, a value that is
            missing or no finite number, or no rows.
    """
    if formula not in FORMULAS:
        raise ValueError(f"score: unknown formula {formula!r}; choose one of {', '.join(FORMULAS)}")
    schema = pa.schema(
        [field for field in DETECTIONS if field.name != "score"]
        + [pa.field(name, pa.float64()) for name in FORMULAS[formula]]
    )
    if not Path(path).exists():
        raise ValueError(f"detections: {path} does not exist")
    try:
        dataset = ds.dataset(path, format="parquet")
        table = dataset.to_table(columns=[name for name in schema.names if name in dataset.schema.names])
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"detections: {path} is not Parquet: {error}") from error
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise ValueError(
            f"detections: {path} has no column {missing[0]!r}; the columns are {', '.join(schema.names)}"
        )
    try:
        table = table.select(schema.names).cast(schema)
    except pa.ArrowInvalid as error:
        raise ValueError(f"detections: {path}: {error}") from error
    for name in schema.names:
        finite = name in _NAMES or bool(pc.all(pc.is_finite(table[name])).as_py() in (True, None))
        if table[name].null_count or not finite:
            raise ValueError(f"detections: {path}: {name} has a value that is missing or not finite")
    if not len(table):
        raise ValueError(f"detections: {path} has no rows, so there is nothing to measure")
    parts = None
    if set(PARTS) <= set(dataset.schema.names):
        columns = dataset.to_table(columns=list(PARTS))
        parts = np.stack([columns[name].cast(pa.float64()).to_numpy() for name in PARTS], 1)
    corners = {}
    for end in ("subject", "object"):
        x, y, w, h = (table[f"{end}_{side}"].to_numpy() for side in "xywh")
        corners[end] = np.stack([x, y, x + w, y + h], 1)
    names = {name: _names(table[name]) for name in _NAMES}
    return Pairs(
        image=names["image_id"],
        subject=names["subject"],
        predicate=names["predicate"],
        object=names["object"],
        subject_box=corners["subject"],
        object_box=corners["object"],
        score=np.prod([table[name].to_numpy() for name in FORMULAS[formula]], axis=0),
        parts=parts,
    )


def _names(column: pa.ChunkedArray) -> np.ndarray:
    """Texts of a column; equal ones are one object."""
    array = pa.concat_arrays(
        column.dictionary_encode().unify_dictionaries().chunks
        or [pa.array([], pa.string()).dictionary_encode()]
    )
    values = np.array(array.dictionary.to_pylist(), object)
    return values[array.indices.to_numpy(zero_copy_only=False)]


def write_detections(pairs: Pairs, path: Path) -> None:
    """Write the table to one file, which appears whole or not at all; with the columns `PARTS` where the
    pairs have `parts`.
    """
    columns = {"image_id": pairs.image, "subject": pairs.subject, "predicate": pairs.predicate}
    columns |= {"object": pairs.object, "score": pairs.score}
    for end, box in (("subject", pairs.subject_box), ("object", pairs.object_box)):
        sides = (box[:, 0], box[:, 1], box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])
        columns |= {f"{end}_{side}": values for side, values in zip("xywh", sides, strict=True)}
    arrays = [pa.array(columns[field.name], field.type) for field in DETECTIONS]
    table = pa.Table.from_arrays(arrays, schema=DETECTIONS)
    if pairs.parts is not None:
        for place, name in enumerate(PARTS):
            table = table.append_column(name, pa.array(pairs.parts[:, place], pa.float64()))
    with publish(str(path)) as partial:
        pq.write_table(table, partial)
