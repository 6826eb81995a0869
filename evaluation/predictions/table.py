"""The table of detections itself, and its two forms: one row per relation, or V-COCO's one row per pair."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from relforge.data.vcoco_actions import COLUMNS
from relforge.evaluation.detection_table import DETECTIONS
from relforge.evaluation.vcoco_detections import AGENTS
from relforge.stages.ingest.values import as_text

BOXES = tuple(name for name in DETECTIONS.names if name.endswith(("_x", "_y", "_w", "_h")))


def read(path: str) -> pa.Table:
    """A Parquet file, or all of a folder, as it is.

    Raises:
        ValueError: it is no Parquet, or lacks an image or box.
    """
    try:
        found: pa.Table = ds.dataset(path, format="parquet").to_table()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"detections: {path} is not Parquet: {error}") from error
    if missing := [name for name in ("image_id", *BOXES) if name not in found.column_names]:
        raise ValueError(f"detections: {path} has no column {missing[0]!r}")
    return found


def write(table: pa.Table, path: Path) -> Counter[str]:
    """One Parquet file."""
    pq.write_table(table, path)
    return Counter()


def is_wide(table: pa.Table) -> bool:
    """Whether it has a column of scores for V-COCO's columns in place of `predicate` and `score`."""
    return bool({*COLUMNS, *AGENTS} & set(table.column_names))


def as_rows(table: pa.Table) -> pa.Table:
    """One row per relation: image_id, subject, predicate, object, boxes and score; agents of a wide table are
    not among them.

    Raises:
        ValueError: a column is missing.
    """
    if is_wide(table):
        parts = []
        for name in COLUMNS:
            if name in table.column_names:
                held = table.filter(pc.is_valid(table[name]))
                one = held.select(["image_id", *BOXES])
                subject = pa.repeat("person", len(held))
                found = held["object"] if "object" in table.column_names else pa.nulls(len(held), pa.string())
                one = one.append_column("subject", subject).append_column("object", found)
                one = one.append_column("predicate", pa.repeat(name, len(held)))
                parts.append(
                    one.append_column("score", held[name].cast(pa.float64())).select(DETECTIONS.names)
                )
        table = pa.concat_tables(parts)
    if "subject" not in table.column_names:
        table = table.append_column("subject", pa.repeat("person", len(table)))
    if missing := [name for name in DETECTIONS.names if name not in table.column_names]:
        raise ValueError(
            f"detections: no column {missing[0]!r}; the columns are {', '.join(DETECTIONS.names)}"
        )
    return table.select(DETECTIONS.names).cast(DETECTIONS)


def corners(table: pa.Table, end: str) -> np.ndarray:
    """n x 4 xyxy of `subject` or `object`; nan where there is no box."""
    sides = [pc.fill_null(table[f"{end}_{side}"], np.nan).to_numpy() for side in "xywh"]
    x, y, w, h = sides
    return np.stack([x, y, x + w, y + h], 1)


def as_name(value: object) -> str:
    """A name in a file of detections.

    Raises:
        ValueError: it is no text that can be written.
    """
    text = as_text(value)
    if text is None:
        raise ValueError(f"{value!r:.60} is no name")
    return text


def of_columns(
    image: list[str],
    subject: list[str],
    predicate: list[str],
    object_: list[str | None],
    boxes: np.ndarray,
    score: np.ndarray,
) -> pa.Table:
    """The table from columns.

    Args:
        boxes: n x 8, subject and object xyxy; nan where there is no object.
        score: n.
    """
    columns: dict[str, pa.Array] = {
        "image_id": pa.array(image, pa.string()),
        "subject": pa.array(subject, pa.string()),
        "predicate": pa.array(predicate, pa.string()),
        "object": pa.array(object_, pa.string()),
        "score": pa.array(score, pa.float64()),
    }
    for first, end in ((0, "subject"), (4, "object")):
        x1, y1, x2, y2 = boxes[:, first : first + 4].T.astype(np.float64)
        for side, values in zip("xywh", (x1, y1, x2 - x1, y2 - y1), strict=True):
            columns[f"{end}_{side}"] = pa.array(values, mask=np.isnan(values))
    return pa.table([columns[name] for name in DETECTIONS.names], DETECTIONS)
