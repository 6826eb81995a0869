"""V-COCO's annotation as images with all their boxes, for training and for other formats.

Rows are (person, object or none, one of the 29 columns), one for each role of each action that a person does;
boxes are as COCO has them, groups included. Objects are COCO's 80 and `MISSING`, or those that the file
names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from relforge.data import hico
from relforge.data.hoi import MISSING, NO_OBJECT, HoiData, HoiImage
from relforge.data.hoi_json import load_json, read_hoi_json
from relforge.data.vcoco_actions import COLUMNS, ROLES
from relforge.data.vcoco_pairs import is_pairs, read_pairs
from relforge.data.vcoco_records import Action, Box, check_official


def image_number(file_name: str) -> int:
    """COCO's id of an image from its id or its file name, "COCO_val2014_000000000042.jpg" for instance.

    Raises:
        ValueError: there is no number.
    """
    return int(PurePosixPath(file_name).stem.rsplit("_", 1)[-1])


def is_official(document: Any) -> bool:
    """Whether it is `vcoco_<split>.json`, actions without boxes."""
    try:
        return isinstance(document, list) and "action_name" in document[0]
    except (IndexError, TypeError):
        return False


def read_vcoco_images(annotations: str, instances: str = "") -> HoiData:
    """Read a split.

    Args:
        annotations: `vcoco_trainval.json` for instance, a converted list, or fredzzhang's lists of pairs.
        instances: COCO's boxes for the official file.

    Raises:
        ValueError: a file of another form, or official actions without `instances`.
        OSError: a file cannot be read.
    """
    document = load_json(annotations)
    if is_pairs(document):
        return read_pairs(annotations, document)
    if not is_official(document):
        return read_converted(annotations, document)
    if not instances:
        raise ValueError(
            f"{annotations} has actions without boxes: give instances=instances_vcoco_all_2014.json too"
        )
    return of_official(load_json(instances), document, f"{instances} with {annotations}")


def read_converted(path: str, document: Any) -> HoiData:
    """A converted list; its classes are COCO's unless the names beside their numbers are others."""
    names = hico.names_beside(document, "") or hico.official()
    objects = {**names.objects, -1: MISSING}
    codes = {number: code for code, number in enumerate(objects)}
    verbs = dict(enumerate(range(len(COLUMNS))))
    return read_hoi_json(path, list(objects.values()), COLUMNS, codes, verbs, document=document)


def of_official(instances: Mapping[str, Any], actions: list[dict[str, Any]], where: str) -> HoiData:
    """From the two official documents; images without any row of `actions` take no part.

    Raises:
        ValueError: they are of another form, or name other actions.
    """
    checked = check_official(instances, actions, where)
    reasons = checked.reasons
    boxes: dict[int, list[Box]] = {number: [] for number in checked.images}
    for box in checked.boxes:
        if box.category in checked.categories:
            boxes[box.image].append(box)
        else:
            reasons["unknown_category"] += 1
    code = {number: place for place, number in enumerate(checked.categories)}
    labelled, rows = checked.labelled, _rows(checked.actions)
    found = []
    for number, (name, size) in checked.images.items():
        own = boxes[number]
        place = {box.id: row for row, box in enumerate(own)}
        interactions = []
        for box in own:
            for end, column in rows.pop(box.id, ()):
                if end and end not in place:
                    reasons["role_of_unknown_box"] += 1
                interactions.append((place[box.id], place.get(end, NO_OBJECT), column))
        xywh = np.array([box.xywh for box in own], float).reshape(-1, 4)
        crowd = np.array([box.crowd for box in own], bool)
        found.append(
            HoiImage(
                name,
                np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1),
                np.array([code[box.category] for box in own], np.int64),
                np.array(interactions, np.int64).reshape(-1, 3),
                size,
                labelled=np.array([box.id in labelled for box in own], bool),
                crowd=crowd if crowd.any() else None,
                identity=str(number),
            )
        )
    reasons["action_of_unknown_box"] = len(rows)
    return HoiData(found, [*checked.categories.values(), MISSING], COLUMNS, +reasons)


def _rows(actions: list[Action]) -> dict[int, list[tuple[int, int]]]:
    """Annotation of a person -> (annotation of the role's object or 0, column) of every role of what they
    do."""
    rows: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for one in actions:
        columns = [COLUMNS.index(f"{one.name}_{role}") for role in ROLES[one.name]] or [
            COLUMNS.index(one.name)
        ]
        for person, label, roles in zip(one.people, one.labels, one.ends.tolist(), strict=True):
            if label == 1:
                rows[person] += zip(roles or [0], columns, strict=True)
    return rows
