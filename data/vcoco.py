"""V-COCO's annotation: people in COCO images, what each does, and with which box.

* the official files: COCO's boxes, `instances_vcoco_all_2014.json`, and the actions, `vcoco_train.json`,
  `vcoco_val.json`, `vcoco_trainval.json` or `vcoco_test.json`: one entry an action with parallel lists
  `image_id`, `ann_id`, `label` and `role_object_id` (role after role).
* the converted list of QPIC and its relatives (`hoi_json`): all COCO boxes of an image, and rows with verbs
  from 0 and `object_id` -1 where a role is absent. It does not mark people without labels: people
  without a row are taken for such, unless relforge wrote the list, which then says so of each person.

Boxes become first and last pixel, clipped to the image, as in the official code (vsrl_eval, Gupta and Malik
2015); boxes of a pixel or less and boxes without area are left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relforge.data.hoi import NO_OBJECT, HoiData
from relforge.data.hoi_json import load_json
from relforge.data.vcoco_actions import ACTION_OF, ACTIONS, COLUMNS, ROLE_COLUMNS, ROLES
from relforge.data.vcoco_images import image_number, is_official, read_converted
from relforge.data.vcoco_records import check_official


@dataclass(frozen=True)
class VcocoData:
    """A split as the official evaluation reads it.

    Args:
        images: COCO id of every image.
        image: P places in `images`, one per person.
        box: P x 4 xyxy, first and last pixel, float32.
        labelled: P; nobody labelled the actions of the others, which are left out of account.
        actions: P x 26, whether each action holds.
        role_box: P x 25 x 4, box of every role; nan where there is none.
        role_class: P x 25 codes into `classes`; -1 where there is none.
        classes: names of COCO's categories.
        reasons: what was left out while reading.
    """

    images: list[int]
    image: np.ndarray
    box: np.ndarray
    labelled: np.ndarray
    actions: np.ndarray
    role_box: np.ndarray
    role_class: np.ndarray
    classes: list[str]
    reasons: Counter[str] = field(default_factory=Counter)


def read_vcoco(annotations: str, instances: str = "", last_pixels: bool = True) -> VcocoData:
    """Read a split.

    Args:
        annotations: `vcoco_test.json`, or a converted list.
        instances: COCO's boxes for the official file.
        last_pixels: boxes of a list that has the sizes of its images end at their last pixels within the
            image, as those of the official files; False: they stay, as training-time evaluations read them.

    Raises:
        ValueError: a file of another form, or official actions without `instances`.
        OSError: a file cannot be read.
    """
    document = load_json(annotations)
    if not is_official(document):
        return from_converted(read_converted(annotations, document), annotations, last_pixels)
    if not instances:
        raise ValueError(
            f"{annotations} has actions without boxes: give instances=instances_vcoco_all_2014.json too"
        )
    return from_official(load_json(instances), document, f"{instances} with {annotations}")


def from_official(instances: Mapping[str, Any], actions: list[dict[str, Any]], where: str) -> VcocoData:
    """From the two official documents; images without any row of `actions` take no part.

    Raises:
        ValueError: they are of another form, or name other actions.
    """
    found = check_official(instances, actions, where)
    reasons = found.reasons
    place = {number: row for row, number in enumerate(found.images)}
    corners: dict[int, tuple[np.ndarray, int, int]] = {}  # annotation -> box, category, image
    for one in found.boxes:
        box = _clipped(one.xywh, found.images[one.image][1])
        if one.category not in found.categories:
            reasons["unknown_category"] += 1
        elif one.area > 0 and box[2] > box[0] and box[3] > box[1]:
            corners[one.id] = box, one.category, place[one.image]
        else:
            reasons["box_without_area"] += 1
    rows: dict[int, dict[int, list[int]]] = defaultdict(dict)  # annotation -> action -> boxes of its roles
    for number, action in enumerate(found.actions):
        for person, label, roles in zip(action.people, action.labels, action.ends.tolist(), strict=True):
            if label == 1:
                rows[person][number] = roles
    return _people(list(place), corners, rows, found.labelled, found.categories, reasons)


def _clipped(xywh: Any, size: tuple[int, int]) -> np.ndarray:
    """First and last pixel within the image."""
    x, y, w, h = map(float, xywh)
    right, bottom = x + max(0.0, w - 1.0), y + max(0.0, h - 1.0)
    width, height = size
    sides = [
        min(width - 1.0, max(0.0, x)),
        min(height - 1.0, max(0.0, y)),
        min(width - 1.0, max(0.0, right)),
        min(height - 1.0, max(0.0, bottom)),
    ]
    return np.array(sides, np.float32)


def _people(
    images: list[int],
    corners: Mapping[int, tuple[np.ndarray, int, int]],
    rows: Mapping[int, Mapping[int, list[int]]],
    labelled: set[int],
    categories: Mapping[int, str],
    reasons: Counter[str],
) -> VcocoData:
    code = {number: place for place, number in enumerate(categories)}
    person = next((number for number, name in categories.items() if name == "person"), 1)
    people = sorted(
        (number for number, (_, category, _) in corners.items() if category == person),
        key=lambda number: corners[number][2],
    )
    actions = np.zeros((len(people), len(ACTIONS)), bool)
    role_box = np.full((len(people), len(ROLE_COLUMNS), 4), np.nan, np.float32)
    role_class = np.full((len(people), len(ROLE_COLUMNS)), -1)
    reasons["action_of_unknown_box"] = sum(number not in corners for number in rows)
    for row, number in enumerate(people):
        for action, roles in rows.get(number, {}).items():
            actions[row, action] = True
            for role, end in zip(ROLES[ACTIONS[action]], roles, strict=True):
                column = ROLE_COLUMNS.index(f"{ACTIONS[action]}_{role}")
                if end in corners:
                    role_box[row, column] = corners[end][0]
                    role_class[row, column] = code[corners[end][1]]
                elif end:
                    reasons["role_of_unknown_box"] += 1
    return VcocoData(
        images=images,
        image=np.array([corners[number][2] for number in people], np.int64),
        box=np.array([corners[number][0] for number in people], np.float32).reshape(-1, 4),
        labelled=np.array([number in labelled for number in people], bool),
        actions=actions,
        role_box=role_box,
        role_class=role_class,
        classes=list(categories.values()),
        reasons=+reasons,
    )


def from_converted(data: HoiData, where: str, last_pixels: bool = False) -> VcocoData:
    """From a converted list; `last_pixels` as in `read_vcoco`.

    Raises:
        ValueError: an image's name has no number.
    """
    corners: dict[int, tuple[np.ndarray, int, int]] = {}
    rows: dict[int, dict[int, list[int]]] = defaultdict(dict)
    labelled: set[int] = set()
    reasons = Counter(data.reasons)
    try:
        images = [image_number(image.file_name) for image in data.images]
    except ValueError as error:
        raise ValueError(f"{where}: file_name of every image ends in COCO's id: {error}") from error
    first = 1  # 0 means no box
    for place, image in enumerate(data.images):
        for row, (box, category) in enumerate(zip(image.boxes, image.classes.tolist(), strict=True)):
            if last_pixels and image.size is not None:
                box = _clipped([*box[:2], *(box[2:] - box[:2])], image.size)
                if box[2] <= box[0] or box[3] <= box[1]:
                    reasons["box_without_area"] += 1
                    continue
            corners[first + row] = box.astype(np.float32), category, place
        for subject, end, column in image.interactions.tolist():
            action = ACTION_OF[COLUMNS[column]]
            roles = rows[first + subject].setdefault(ACTIONS.index(action), [0] * len(ROLES[action]))
            if end != NO_OBJECT and roles:
                roles[ROLES[action].index(COLUMNS[column].rsplit("_", 1)[1])] = first + end
        if image.labelled is None:
            labelled |= {number for number in rows if number >= first}
        else:
            labelled |= {first + row for row in np.flatnonzero(image.labelled).tolist()}
        first += len(image.boxes)
    return _people(images, corners, rows, labelled, dict(enumerate(data.objects)), reasons)
