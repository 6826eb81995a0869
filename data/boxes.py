"""Boxes without relations, for detectors: a run folder's, or a dataset's through its ingest adapter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from relforge.data.exclude import without_images
from relforge.data.relation_tables import from_tables
from relforge.data.relations import RelationData, concatenate
from relforge.data.source_tables import read_corrections, read_source
from relforge.data.sources import read_dataset, read_table
from relforge.images import MAX_PIXELS
from relforge.stages.corrections.boxes import correct_boxes
from relforge.stages.tables import SCHEMAS

_RUN_OPTIONS = ("run", "limit", "exclude")


def load_boxes(parts: Sequence[Mapping[str, Any]]) -> RelationData:
    """Load and concatenate the `data` list of a detector's recipe: every image with boxes, without relations.

    Crowds are left out, as published.

    Args:
        parts: each either `{run: FOLDER}` (boxes as people corrected them) or `{format: coco, ...}` with the
            options of that ingest adapter; `limit: N` takes the first N images, `exclude` leaves out those of
            a list (`data.exclude`).

    Raises:
        ValueError: an entry that is neither, or that has no boxes.
    """
    loaded = []
    for part in parts:
        reasons: Counter[str] = Counter()
        if "run" in part:
            if unknown := [name for name in part if name not in _RUN_OPTIONS]:
                raise ValueError(f"data: {part['run']}: boxes alone are read, {unknown[0]} is of relations")
            images, boxes = (read_table(part["run"], table) for table in ("images", "boxes"))
            if (corrections := read_corrections(part["run"])) is not None:
                boxes = correct_boxes(boxes, corrections.boxes, images)
            written = read_dataset(part["run"])
        elif "format" in part:
            written = {
                name: value for name, value in part.items() if name not in {"format", "limit", "exclude"}
            }
            shards = list(read_source(part["format"], written, reasons))
            images, boxes = (pa.concat_tables([one[name] for one in shards]) for name in ("images", "boxes"))
        else:
            raise ValueError(f"data: an entry needs `run` or `format`, found {sorted(part)}")
        images = images.slice(0, part.get("limit"))
        boxes = boxes.filter(pc.invert(boxes["iscrowd"]))
        images = images.filter(pc.is_in(images["image_id"], pc.unique(boxes["image_id"])))
        if not images.num_rows:
            raise ValueError(f"data: {part.get('run') or part.get('format')} has no image with boxes")
        data = from_tables(
            images,
            boxes,
            SCHEMAS["gold"].empty_table(),
            keep_empty=True,
            orientation=written.get("orientation"),
            max_pixels=written.get("max_pixels", MAX_PIXELS),
        )
        data = replace(data, reasons=reasons)
        loaded.append(without_images(data, part["exclude"]) if "exclude" in part else data)
    return concatenate(loaded)
