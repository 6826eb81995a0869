"""HICO-DET style JSON: people, objects and what the people do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from relforge.stages.class_names import class_key
from relforge.stages.export.json_rows import write_json_rows
from relforge.stages.export.numbers import Numbers
from relforge.stages.export.scenes import Scene, as_number_or_text, read_scenes
from relforge.stages.hico_lists import object_ids, verb_ids
from relforge.stages.parse.inflection import verb_forms

FIRST_OTHER_CLASS, FIRST_OTHER_VERB = 91, 118
"""Numbers of what HICO-DET's lists do not have begin there."""


def write(tables: Iterable[Mapping[str, pa.Table]], path: Path, subject: str = "person") -> dict[str, int]:
    """`[{file_name, img_id, annotations, hoi_annotation}]`, one image per line.

    `annotations[]` has bbox (x1, y1, x2, y2 in pixels), category_id and category; `hoi_annotation[]` has
    subject_id and object_id (places in `annotations`), category_id and verb, and score. A class of the
    80 has COCO's category id (1 to 90), a verb of the 117 its official number, "riding" being "ride". Others
    have numbers from 91 and from 118 on: classes in the order of the source's list, then as they come. The
    names are listed beside the numbers.

    Args:
        subject: the class that acts, in any spelling; relations of other subjects are counted as `left_out`.
    """
    counts = Counter(images=0, boxes=0, relations=0, left_out=0)
    classes = Numbers({class_key(name): k for name, k in object_ids().items()}, class_key, FIRST_OTHER_CLASS)
    verbs = Numbers(_forms(), _plain, FIRST_OTHER_VERB)

    def rows() -> Iterator[dict[str, Any]]:
        for shard in tables:
            for name in _listed(shard.get("classes")):
                classes.number(name)
            for scene in read_scenes(shard, counts):
                actions = _actions(scene, subject, verbs)
                counts.update(images=1, boxes=len(scene.boxes), relations=len(actions))
                counts["left_out"] += len(scene.relations) - len(actions)
                yield {
                    "file_name": scene.file_name,
                    "img_id": as_number_or_text(scene.image["image_id"]),
                    "annotations": [_annotation(box, classes) for box in scene.boxes],
                    "hoi_annotation": actions,
                }

    write_json_rows(path, rows())
    return dict(counts)


def _forms() -> dict[str, int]:
    """Every form of an official verb that a predicate may have -> its number."""
    return {form: number for verb, number in verb_ids().items() for form in verb_forms(verb)}


def _plain(predicate: str) -> str:
    return " ".join(predicate.casefold().replace("_", " ").split())


def _listed(classes: pa.Table | None) -> list[str]:
    """The names of the source's list, by its ids."""
    rows = classes.to_pylist() if classes else []
    ids = [as_number_or_text(row["source_id"] or "") for row in rows]
    ranked = sorted(zip(ids, rows, strict=True), key=lambda one: (isinstance(one[0], str), one[0]))
    return [row["category"] for _, row in ranked]


def _actions(scene: Scene, subject: str, verbs: Numbers) -> list[dict[str, Any]]:
    """The relations of that subject; new verbs get the next numbers."""
    place = {box["box_id"]: k for k, box in enumerate(scene.boxes)}
    actions: list[dict[str, Any]] = []
    for relation in scene.relations:
        actor = place[relation["subject_box"]]
        if class_key(scene.boxes[actor]["category"]) != class_key(subject):
            continue
        verb = relation["predicate"]
        action: dict[str, Any] = {"subject_id": actor, "object_id": place[relation["object_box"]]}
        action |= {"category_id": verbs.number(verb), "verb": verb}
        actions.append(action | ({"score": relation["score"]} if "score" in relation else {}))
    return actions


def _annotation(box: dict[str, Any], classes: Numbers) -> dict[str, Any]:
    name = box["category"]
    corners = [box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]]
    return {"bbox": corners, "category_id": classes.number(name), "category": name}
