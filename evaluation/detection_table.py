"""Detections as a Parquet table that anybody can write: one row per detected (subject, predicate, object)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from relforge.evaluation.pairs import Pairs

_NAMES = ("image_id", "subject", "predicate", "object")
_BOXES = tuple(f"{end}_{side}" for end in ("subject", "object") for side in "xywh")
DETECTIONS = pa.schema(
    [pa.field(name, pa.string()) for name in _NAMES]
    + [pa.field(name, pa.float64()) for name in (*_BOXES, "score")]
)
"""Boxes are xywh in pixels of the original image; scores rank, the largest first (docs/formats.md)."""


def read_detections(path: str) -> Pairs:
    """Read a file, or all Parquet files of a folder.

    Raises:
        ValueError: no such file, a column that is missing or of another type, a value that is missing or no
            finite number.
    """
    if not Path(path).exists():
        raise ValueError(f"detections: {path} does not exist")
    try:
        table = ds.dataset(path, format="parquet").to_table()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"detections: {path} is not Parquet: {error}") from error
    missing = [name for name in DETECTIONS.names if name not in table.column_names]
    if missing:
        raise ValueError(
            f"detections: {path} has no column {missing[0]!r}; the columns are {', '.join(DETECTIONS.names)}"
        )
    try:
        table = table.select(DETECTIONS.names).cast(DETECTIONS)
    except pa.ArrowInvalid as error:
        raise ValueError(f"detections: {path}: {error}") from error
    for name in DETECTIONS.names:
        finite = name in _NAMES or bool(pc.all(pc.is_finite(table[name])).as_py() in (True, None))
        if table[name].null_count or not finite:
            raise ValueError(f"detections: {path}: {name} has a value that is missing or not finite")
    corners = {}
    for end in ("subject", "object"):
        x, y, w, h = (table[f"{end}_{side}"].to_numpy() for side in "xywh")
        corners[end] = np.stack([x, y, x + w, y + h], 1)
    names = {name: np.array(table[name].to_pylist(), object) for name in _NAMES}
    return Pairs(
        image=names["image_id"],
        subject=names["subject"],
        predicate=names["predicate"],
        object=names["object"],
        subject_box=corners["subject"],
        object_box=corners["object"],
        score=table["score"].to_numpy(),
    )


def write_detections(pairs: Pairs, path: Path) -> None:
    """Write the table to one file."""
    columns = {"image_id": pairs.image, "subject": pairs.subject, "predicate": pairs.predicate}
    columns |= {"object": pairs.object, "score": pairs.score}
    for end, box in (("subject", pairs.subject_box), ("object", pairs.object_box)):
        sides = (box[:, 0], box[:, 1], box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])
        columns |= {f"{end}_{side}": values for side, values in zip("xywh", sides, strict=True)}
    arrays = [pa.array(columns[field.name], field.type) for field in DETECTIONS]
    pq.write_table(pa.Table.from_arrays(arrays, schema=DETECTIONS), path)
