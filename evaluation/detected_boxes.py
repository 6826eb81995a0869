"""Boxes that any detector found, from the files that detectors write.

* Parquet, a file or a folder: `image_id`, `category`, `x`, `y`, `w`, `h` (pixels, top-left), `score`.
* JSON, COCO's list of results: `[{image_id, category_id, bbox: [x, y, w, h], score}]`; ids are COCO's, and an
  image may be named by `file_name` instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from relforge.data.hoi_json import load_json
from relforge.evaluation.overlap import plain
from relforge.stages.hico_lists import object_ids

DETECTED = pa.schema(
    [pa.field(name, pa.string()) for name in ("image_id", "category")]
    + [pa.field(name, pa.float64()) for name in ("x", "y", "w", "h", "score")]
)


@dataclass(frozen=True)
class DetectedBoxes:
    """The boxes of one image.

    Args:
        names: n classes.
        xyxy: n x 4, pixels.
        scores: n.
    """

    names: list[str]
    xyxy: np.ndarray
    scores: np.ndarray

    def best(self, person: str, score: float, overlap: float, most: int) -> tuple[list[int], list[int]]:
        """Rows of people and of others, the best first, as published: a least score, suppression of boxes
        of a class that overlap more than `overlap`, at most `most` of either."""
        kept: list[int] = []
        for row in np.argsort(-self.scores, kind="stable").tolist():
            same = [other for other in kept if self.names[other] == self.names[row]]
            if self.scores[row] < score:
                break
            if not same or plain(self.xyxy[row], self.xyxy[same]).max() <= overlap:
                kept.append(row)
        people = [row for row in kept if self.names[row] == person]
        return people[:most], [row for row in kept if self.names[row] != person][:most]


def read_detected(path: str) -> dict[str, DetectedBoxes]:
    """Image id -> its boxes.

    Raises:
        ValueError: no such file, a column that is missing or of another type, a value that is missing or no
            finite number, a category id that COCO has not, or no box.
    """
    if not Path(path).exists():
        raise ValueError(f"boxes: {path} does not exist")
    table = _read_json(path) if path.endswith(".json") else _read_parquet(path)
    for name in DETECTED.names:
        number = DETECTED.field(name).type == pa.float64()
        finite = not number or bool(pc.all(pc.is_finite(table[name])).as_py() in (True, None))
        if table[name].null_count or not finite:
            raise ValueError(f"boxes: {path}: {name} has a value that is missing or not finite")
    if not table.num_rows:
        raise ValueError(f"boxes: {path} has no box")
    names = table["category"].to_pylist()
    x, y, w, h, scores = (table[name].to_numpy() for name in ("x", "y", "w", "h", "score"))
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(table["image_id"].to_pylist()):
        rows.setdefault(image, []).append(row)
    xyxy = np.stack([x, y, x + w, y + h], 1)
    return {
        image: DetectedBoxes([names[row] for row in own], xyxy[own], scores[own])
        for image, own in rows.items()
    }


def _read_parquet(path: str) -> pa.Table:
    try:
        return ds.dataset(path, format="parquet").to_table(columns=DETECTED.names).cast(DETECTED)
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise ValueError(
            f"boxes: {path} is no Parquet table of {', '.join(DETECTED.names)}: {error}"
        ) from error


def _read_json(path: str) -> pa.Table:
    names = {number: name for name, number in object_ids().items()}
    rows: list[dict[str, Any]] = []
    try:
        for one in load_json(path):
            image = PurePosixPath(one["file_name"]).stem if "file_name" in one else str(one["image_id"])
            x, y, w, h = map(float, one["bbox"])
            rows.append(
                {"image_id": image, "category": names[one["category_id"]], "score": float(one["score"])}
            )
            rows[-1] |= {"x": x, "y": y, "w": w, "h": h}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"boxes: {path} is no list of COCO results (image_id, category_id, bbox, score): {error!r}"
        ) from error
    return pa.Table.from_pylist(rows, schema=DETECTED)
