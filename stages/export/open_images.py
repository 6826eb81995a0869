"""Open Images CSV: boxes, relations, class names and image sizes in a folder."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from relforge.stages.export.scenes import read_scenes

_ENDS = ("XMin", "XMax", "YMin", "YMax")
BOX_COLUMNS = ["ImageID", "Source", "LabelName", "Confidence", *_ENDS, "IsGroupOf", "BoxID"]
RELATION_COLUMNS = ["ImageID", "LabelName1", "LabelName2"]
RELATION_COLUMNS += [f"{name}{k}" for k in (1, 2) for name in _ENDS]
RELATION_COLUMNS += ["RelationshipLabel", "BoxID1", "BoxID2", "Score"]


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path) -> dict[str, int]:
    """`boxes.csv`, `relations.csv`, `classes.csv` (label, name) and `sizes.csv` (ImageID, Width, Height).

    Columns as Open Images has them, and BoxID, BoxID1, BoxID2 and Score besides. Coordinates are shares of
    the image's size. The label of a class is its name.
    """
    path.mkdir()
    counts = Counter(images=0, boxes=0, relations=0)
    classes: dict[str, None] = {}
    with ExitStack() as stack:
        box_out, relation_out, size_out = (
            csv.writer(stack.enter_context((path / name).open("w", newline="", encoding="utf-8")))
            for name in ("boxes.csv", "relations.csv", "sizes.csv")
        )
        box_out.writerow(BOX_COLUMNS)
        relation_out.writerow(RELATION_COLUMNS)
        size_out.writerow(["ImageID", "Width", "Height"])
        for shard in tables:
            for scene in read_scenes(shard, counts):
                image_id, width, height = (scene.image[k] for k in ("image_id", "width", "height"))
                size_out.writerow([image_id, width, height])
                corners = {b["box_id"]: _corners(b, width, height) for b in scene.boxes}
                names = {b["box_id"]: b["category"] for b in scene.boxes}
                classes |= dict.fromkeys(names.values())
                for box in scene.boxes:
                    k = box["box_id"]
                    box_out.writerow([image_id, "relforge", names[k], 1, *corners[k], int(box["iscrowd"]), k])
                for relation in scene.relations:
                    s, o = relation["subject_box"], relation["object_box"]
                    ends = [image_id, names[s], names[o], *corners[s], *corners[o]]
                    score = relation.get("score", "")
                    relation_out.writerow([*ends, relation["predicate"], s, o, score])
                counts.update(images=1, boxes=len(scene.boxes), relations=len(scene.relations))
        with (path / "classes.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([name, name] for name in classes)
    return dict(counts)


def _corners(box: dict[str, Any], width: int, height: int) -> list[float]:
    x, y = box["x"], box["y"]
    return [x / width, (x + box["w"]) / width, y / height, (y + box["h"]) / height]
