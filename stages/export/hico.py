"""HICO-DET style JSON: people, objects and what the people do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from relforge.stages.export.json_rows import write_json_rows
from relforge.stages.export.scenes import Scene, as_number_or_text, read_scenes


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path, subject: str = "person") -> dict[str, int]:
    """`[{file_name, img_id, annotations, hoi_annotation}]`, one image per line.

    `annotations[]` has bbox (x1, y1, x2, y2 in pixels), category_id and category; `hoi_annotation[]` has
    subject_id and object_id (places in `annotations`), category_id and verb, and score. Numbers of
    categories and verbs start at 1 in order of first appearance; the names are listed beside them.

    Args:
        subject: the class that acts; relations of other subjects are counted as `left_out`.
    """
    counts = Counter(images=0, boxes=0, relations=0, left_out=0)
    classes: dict[str, int] = {}
    verbs: dict[str, int] = {}

    def rows() -> Iterator[dict[str, Any]]:
        for shard in tables:
            for scene in read_scenes(shard):
                actions = _actions(scene, subject, verbs)
                counts.update(images=1, boxes=len(scene.boxes), relations=len(actions))
                counts["left_out"] += len(scene.relations) - len(actions)
                uri = scene.image["uri"]
                yield {
                    "file_name": PurePosixPath(uri).name if uri else None,
                    "img_id": as_number_or_text(scene.image["image_id"]),
                    "annotations": [_annotation(box, classes) for box in scene.boxes],
                    "hoi_annotation": actions,
                }

    write_json_rows(path, rows())
    return dict(counts)


def _actions(scene: Scene, subject: str, verbs: dict[str, int]) -> list[dict[str, Any]]:
    """The relations of that subject; new verbs get the next numbers."""
    place = {box["box_id"]: k for k, box in enumerate(scene.boxes)}
    actions: list[dict[str, Any]] = []
    for relation in scene.relations:
        actor = place[relation["subject_box"]]
        if scene.boxes[actor]["category"] != subject:
            continue
        verb = relation["predicate"]
        action = {"subject_id": actor, "object_id": place[relation["object_box"]]}
        action |= {"category_id": verbs.setdefault(verb, len(verbs) + 1), "verb": verb}
        actions.append(action | ({"score": relation["score"]} if "score" in relation else {}))
    return actions


def _annotation(box: dict[str, Any], classes: dict[str, int]) -> dict[str, Any]:
    name = box["category"]
    corners = [box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]]
    return {"bbox": corners, "category_id": classes.setdefault(name, len(classes) + 1), "category": name}
