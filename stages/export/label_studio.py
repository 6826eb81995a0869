"""Label Studio tasks: boxes and relations as predictions for a person to correct."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from relforge.stages.export.json_rows import write_json_rows
from relforge.stages.export.scenes import Scene, read_scenes


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path) -> dict[str, int]:
    """A list of tasks for a labelling interface with `<Image name="image">`, `<RectangleLabels
    name="label" toName="image">` and `<Relations>`.

    Boxes are in percent of the image, as Label Studio has them; a relation's label is its predicate.
    `data` has the image's URI, the image id, and nothing else.
    """
    counts = Counter(images=0, boxes=0, relations=0)

    def tasks() -> Iterator[dict[str, Any]]:
        for shard in tables:
            for scene in read_scenes(shard, counts):
                counts.update(images=1, boxes=len(scene.boxes), relations=len(scene.relations))
                yield _task(scene)

    write_json_rows(path, tasks())
    return dict(counts)


def _task(scene: Scene) -> dict[str, Any]:
    width, height = scene.image["width"], scene.image["height"]
    regions: list[dict[str, Any]] = [
        {
            "id": f"box-{box['box_id']}",
            "type": "rectanglelabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": width,
            "original_height": height,
            "value": {
                "x": 100 * box["x"] / width,
                "y": 100 * box["y"] / height,
                "width": 100 * box["w"] / width,
                "height": 100 * box["h"] / height,
                "rotation": 0,
                "rectanglelabels": [box["category"]],
            },
        }
        for box in scene.boxes
    ]
    relations = [
        {
            "type": "relation",
            "from_id": f"box-{relation['subject_box']}",
            "to_id": f"box-{relation['object_box']}",
            "direction": "right",
            "labels": [relation["predicate"]],
        }
        for relation in scene.relations
    ]
    data = {"image": scene.image["uri"], "image_id": scene.image["image_id"]}
    return {"data": data, "predictions": [{"model_version": "relforge", "result": regions + relations}]}
