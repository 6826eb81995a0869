"""FiftyOne: its COCO importer reads the file as it is; each box lists its relations as an attribute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from relforge.stages.export.coco import write_coco
from relforge.stages.export.scenes import Scene


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path) -> dict[str, int]:
    """A folder with `labels.json` and an empty `data/`, for `fiftyone.types.COCODetectionDataset`.

    Images are named by their full path, so that they are not copied. An annotation has `relations`, such
    as `riding horse #1 (0.93)`, and `related`: how many relations the box takes part in, to filter by.
    The file also has all that the export `coco` has.
    """
    path.mkdir()
    (path / "data").mkdir()
    return write_coco(tables, path / "labels.json", _describe)


def _describe(scene: Scene) -> dict[int, dict[str, Any]]:
    """Box id -> its relations in words, and how many it has in either role."""
    names = {box["box_id"]: f"{box['category']} #{box['box_id']}" for box in scene.boxes}
    said: dict[int, list[str]] = {box: [] for box in names}
    related: dict[int, int] = defaultdict(int)
    for one in scene.relations:
        score = f" ({one['score']:.2f})" if "score" in one else ""
        said[one["subject_box"]].append(f"{one['predicate']} {names[one['object_box']]}{score}")
        for end in ("subject_box", "object_box"):
            related[one[end]] += 1
    return {box: {"relations": said[box], "related": related[box]} for box in names}
