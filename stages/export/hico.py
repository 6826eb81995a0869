"""HICO-DET style JSON: people, objects and what the people do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pyarrow as pa

from relforge.stages.export.scenes import as_number_or_text, read_scenes


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path, subject: str = "person") -> dict[str, int]:
    """`[{file_name, img_id, annotations, hoi_annotation}]`, one image per line.

    `annotations[]` has bbox (x1, y1, x2, y2 in pixels), category_id and category; `hoi_annotation[]` has
    subject_id and object_id (places in `annotations`), category_id and verb, and score. Numbers of
    categories and verbs start at 1 in order of first appearance; the names stand beside them.

    Args:
        subject: the class that acts; relations of other subjects are counted as `left_out`.
    """
    counts = Counter(images=0, boxes=0, relations=0, left_out=0)
    classes: dict[str, int] = {}
    verbs: dict[str, int] = {}
    with path.open("wb") as out:
        out.write(b"[")
        for shard in tables:
            for scene in read_scenes(shard):
                place = {box["box_id"]: k for k, box in enumerate(scene.boxes)}
                actions: list[dict[str, Any]] = []
                for relation in scene.relations:
                    actor = place[relation["subject_box"]]
                    if scene.boxes[actor]["category"] != subject:
                        counts["left_out"] += 1
                        continue
                    verb = relation["predicate"]
                    action = {"subject_id": actor, "object_id": place[relation["object_box"]]}
                    action |= {"category_id": verbs.setdefault(verb, len(verbs) + 1), "verb": verb}
                    actions.append(action | ({"score": relation["score"]} if "score" in relation else {}))
                uri = scene.image["uri"]
                row = {
                    "file_name": PurePosixPath(uri).name if uri else None,
                    "img_id": as_number_or_text(scene.image["image_id"]),
                    "annotations": [_annotation(box, classes) for box in scene.boxes],
                    "hoi_annotation": actions,
                }
                out.write((b",\n" if counts["images"] else b"\n") + msgspec.json.encode(row))
                counts.update(images=1, boxes=len(scene.boxes), relations=len(actions))
        out.write(b"\n]\n")
    return dict(counts)


def _annotation(box: dict[str, Any], classes: dict[str, int]) -> dict[str, Any]:
    name = box["category"]
    corners = [box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]]
    return {"bbox": corners, "category_id": classes.setdefault(name, len(classes) + 1), "category": name}
