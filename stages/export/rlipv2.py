"""The JSON list the published RLIPv2 trainer loads, and its Visual Genome form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from relforge.stages.export.json_rows import write_json_rows
from relforge.stages.export.scenes import Scene, as_number_or_text, read_scenes

FIRST_ID = 10_000_000
"""Added to ids inside an image, as the published files do to keep clear of Visual Genome's."""


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path, file_names: bool = False) -> dict[str, int]:
    """`[{image_id, dataset, data_split, objects, relationships}]`, one image per line.

    `objects[]` has object_id, x, y, w, h (float pixels, top-left) and names (one text);
    `relationships[]` has relationship_id, predicate, subject_id, object_id and confidence. Ids are unique
    inside an image. Fields that the published loader ignores: width, height, box_id.
    A crowd region is written only where a relation names it: the loader drops them for COCO.

    Args:
        file_names: write `file_name` too, where it is known; the published files go by the id.
    """
    return _write(tables, path, _rlipv2_image, file_names)


def write_visual_genome(
    tables: Iterable[Mapping[str, pa.Table]], path: Path, file_names: bool = False
) -> dict[str, int]:
    """The same as `scene_graphs.json` has it: no dataset and split, `names` is a list.

    Args:
        file_names: write each image's file name too, where it is known.
    """
    return _write(tables, path, visual_genome_image, file_names)


def _write(
    tables: Iterable[Mapping[str, pa.Table]],
    path: Path,
    record_of: Callable[[Scene], dict[str, Any]],
    file_names: bool,
) -> dict[str, int]:
    counts = Counter(images=0, boxes=0, relations=0)

    def rows() -> Iterator[dict[str, Any]]:
        for shard in tables:
            for scene in read_scenes(shard, counts, repeats=True):
                row = record_of(scene)
                if file_names and scene.file_name is not None:
                    row["file_name"] = scene.file_name
                counts.update(images=1, boxes=len(row["objects"]), relations=len(row["relationships"]))
                yield row

    write_json_rows(path, rows())
    return dict(counts)


def _rlipv2_image(scene: Scene) -> dict[str, Any]:
    head = {
        "image_id": as_number_or_text(scene.image["image_id"]),
        "dataset": scene.image["dataset"],
        "data_split": scene.image["split"],
    }
    return head | _content(scene)


def visual_genome_image(scene: Scene) -> dict[str, Any]:
    """An image of Visual Genome's `scene_graphs.json`."""
    row = {"image_id": as_number_or_text(scene.image["image_id"])} | _content(scene)
    for item in row["objects"]:
        item["names"] = [item["names"]]
    return row


def _content(scene: Scene) -> dict[str, Any]:
    named = {r["subject_box"] for r in scene.relations} | {r["object_box"] for r in scene.relations}
    objects = [
        {"object_id": FIRST_ID + b["box_id"], "x": b["x"], "y": b["y"], "w": b["w"], "h": b["h"]}
        | {"names": b["category"], "box_id": b["box_id"]}
        for b in scene.boxes
        if not b["iscrowd"] or b["box_id"] in named
    ]
    relationships = [
        {
            "relationship_id": FIRST_ID + k,
            "predicate": r["predicate"],
            "subject_id": FIRST_ID + r["subject_box"],
            "object_id": FIRST_ID + r["object_box"],
        }
        | ({"confidence": r["score"]} if "score" in r else {})
        for k, r in enumerate(scene.relations)
    ]
    size = {"width": scene.image["width"], "height": scene.image["height"]}
    return size | {"objects": objects, "relationships": relationships}
