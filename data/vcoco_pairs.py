"""V-COCO as fredzzhang/vcoco has it: `instances_vcoco_train.json`, lists of pairs and actions by image.

    {"annotations": [{"file_name", "boxes_h": [[x1, y1, x2, y2]], "boxes_o", "actions", "objects"}],
     "classes": ["hold obj", ...], "objects": ["background", "person", ...]}

Boxes that take no part in an action are not in it, nor are sizes of images.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from relforge.data.hoi import HoiData, HoiImage, is_box
from relforge.data.vcoco_actions import COLUMNS


def is_pairs(document: Any) -> bool:
    """Whether it is of that layout."""
    return isinstance(document, dict) and {"annotations", "classes", "objects"} <= set(document)


def read_pairs(path: str, document: dict[str, Any]) -> HoiData:
    """Rows whose boxes, class or action cannot be used are left out and counted as `malformed_row`.

    Raises:
        ValueError: the lists of names or of images are of another form.
    """
    classes, objects, annotations = (document[key] for key in ("classes", "objects", "annotations"))
    lists = (classes, objects)
    if not all(isinstance(names, list) and all(isinstance(n, str) for n in names) for names in lists):
        raise ValueError(f"{path}: `classes` and `objects` need to be lists of names")
    if not isinstance(annotations, list):
        raise ValueError(f"{path}: `annotations` needs to be a list of images")
    columns = [_column(name) for name in classes]
    person = objects.index("person") if "person" in objects else -1
    reasons: Counter[str] = Counter()
    images = []
    for one in annotations:
        if not isinstance(one, dict) or not isinstance(one.get("file_name"), str):
            reasons["malformed_image"] += 1
            continue
        rows = [one.get(key) for key in ("boxes_h", "boxes_o", "actions", "objects")]
        if not all(isinstance(row, list) and len(row) == len(rows[2] or ()) for row in rows):
            reasons["malformed_image"] += 1
            continue
        boxes: dict[tuple[float, ...], int] = {}
        of_box: list[int] = []
        found = []
        for human, thing, action, category in zip(*rows, strict=True):
            known = isinstance(action, int) and 0 <= action < len(columns) and columns[action] is not None
            known &= isinstance(category, int) and 0 < category < len(objects) and person >= 0
            if not (known and is_box(human) and is_box(thing)):
                reasons["malformed_row"] += 1
                continue
            ends = []
            for box, code in ((human, person), (thing, category)):
                key = (*box, code)
                if key not in boxes:
                    boxes[key] = len(boxes)
                    of_box.append(code)
                ends.append(boxes[key])
            found.append((*ends, columns[action]))
        sides = np.array([key[:4] for key in boxes], float).reshape(-1, 4)
        triples = np.array(found, np.int64).reshape(-1, 3)
        images.append(HoiImage(one["file_name"], sides, np.array(of_box, np.int64), triples))
    return HoiData(images, objects, COLUMNS, reasons)


def _column(name: str) -> int | None:
    column = name.replace(" ", "_")
    return COLUMNS.index(column) if column in COLUMNS else None
