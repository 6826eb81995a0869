"""V-COCO: the official pair of files, boxes and actions, or a converted list."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from relforge.data.formats.hoi_list import write_list
from relforge.data.hoi import MISSING, NO_OBJECT, HoiData, HoiImage, Written
from relforge.data.vcoco_actions import ACTION_OF, COLUMNS, ROLES, column_of_verb
from relforge.data.vcoco_images import image_number, read_vcoco_images
from relforge.stages.class_names import class_key
from relforge.stages.hico_lists import object_ids

INSTANCES = "instances_vcoco_all_2014.json"
FIRST_OTHER_CLASS = 91
_DIGITS = 6


def read(annotations: str, instances: str = "") -> HoiData:
    """Read the official pair of files, or a converted list (`vcoco_images.read_vcoco_images`).

    Args:
        instances: COCO's boxes for the official file.
    """
    return read_vcoco_images(annotations, instances)


def write(data: HoiData, path: Path, split: str = "test") -> Written:
    """Write the official pair of files into a folder.

    Args:
        split: in the name `vcoco_<split>.json`.
    """
    data, left_out = as_vcoco(data)
    path.mkdir()
    return Written(data, left_out + write_official(path, {split: data}))


def write_list_file(data: HoiData, path: Path) -> Written:
    """Write a converted list."""
    data, left_out = as_vcoco(data)
    write_converted(path, data)
    return Written(data, left_out)


def as_vcoco(data: HoiData, person: str = "person") -> tuple[HoiData, Counter[str]]:
    """The data with V-COCO's 29 columns as verbs, and what that leaves out.

    Verbs of other data sets become the column that they mean ("riding", "ride" and "ride on" are
    `ride_instr`); where that has no role ("walking" a dog), the row has no object. Reasons:
    `no_vcoco_action`, `subject_is_no_person`, `repeated_row`.
    """
    of_verb = column_of_verb()
    named = [of_verb.get(" ".join(verb.casefold().split())) for verb in data.verbs]
    code = np.array([-1 if name is None else COLUMNS.index(name) for name in named], np.int64)
    people = np.array([class_key(name) == class_key(person) for name in data.objects], bool)
    roleless = np.array([not ROLES[ACTION_OF[column]] for column in COLUMNS])
    reasons: Counter[str] = Counter()
    images = []
    for image in data.images:
        rows = image.interactions.copy()
        rows[:, 2] = code[rows[:, 2]]
        human, known = people[image.classes][rows[:, 0]], rows[:, 2] >= 0
        reasons["subject_is_no_person"] += int((~human).sum())
        reasons["no_vcoco_action"] += int((human & ~known).sum())
        rows = rows[human & known]
        rows[roleless[rows[:, 2]], 1] = NO_OBJECT
        unique = list(dict.fromkeys(map(tuple, rows.tolist())))
        reasons["repeated_row"] += len(rows) - len(unique)
        unique += _absent_roles(unique)
        found = np.array(unique, np.int64).reshape(-1, 3)
        images.append(replace(image, interactions=found, labels=(), hidden=()))
    objects = [*data.objects, *(() if MISSING in data.objects else (MISSING,))]
    return HoiData(images, objects, COLUMNS, data.reasons), +reasons


def _absent_roles(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Rows without object for the other role of actions with two, as V-COCO has both."""
    done = {(subject, column) for subject, _, column in rows}
    others = {
        (subject, COLUMNS.index(f"{action}_{role}"))
        for subject, column in done
        if (action := ACTION_OF[COLUMNS[column]])
        for role in ROLES[action]
    }
    return [(subject, NO_OBJECT, column) for subject, column in sorted(others - done)]


def category_numbers(objects: Iterable[str]) -> dict[str, int]:
    """Category id of every class but `MISSING`: COCO's, whatever the spelling, or from 91 on."""
    known = {class_key(name): number for name, number in object_ids().items()}
    numbers: dict[str, int] = {}
    last = FIRST_OTHER_CLASS - 1
    for name in objects:
        if name == MISSING:
            continue
        number = known.pop(class_key(name), None)
        if number is None:
            number = last = last + 1
        numbers[name] = number
    return numbers


def write_converted(path: Path, data: HoiData) -> None:
    """A converted list of `as_vcoco` data, which also says whose actions nobody labelled."""
    numbers = category_numbers(data.objects)
    images = [replace(image, labelled=labelled_people(data, image)) for image in data.images]
    write_list(
        path,
        replace(data, images=images),
        [numbers.get(name, -1) for name in data.objects],
        range(len(COLUMNS)),
    )


def labelled_people(data: HoiData, image: HoiImage, person: str = "person") -> np.ndarray:
    """n, for every box whether it is a person whose actions are known."""
    people = np.array([class_key(name) == class_key(person) for name in data.objects], bool)[image.classes]
    return people if image.labelled is None else people & image.labelled


def write_official(folder: Path, splits: Mapping[str, HoiData]) -> Counter[str]:
    """`instances_vcoco_all_2014.json` and `vcoco_<split>.json` for every split of `as_vcoco` data.

    Returns:
        What the files cannot hold, by reason: `second_object_of_an_action`, and `image_without_people`, which
        the actions do not mention.
    """
    numbers = category_numbers(name for data in splits.values() for name in data.objects)
    coco: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
    coco["categories"] = [
        {"id": number, "name": name} for name, number in sorted(numbers.items(), key=lambda one: one[1])
    ]
    reasons: Counter[str] = Counter()
    for split, data in splits.items():
        people: list[tuple[int, int, dict[str, list[int]]]] = []
        for image, number in zip(data.images, _image_numbers(data), strict=True):
            people += _add_image(coco, data, image, number, numbers, reasons)
        (folder / f"vcoco_{split}.json").write_text(json.dumps(_actions(people)))
    (folder / INSTANCES).write_text(json.dumps(coco, separators=(",", ":")))
    return reasons


def _image_numbers(data: HoiData) -> list[int]:
    """COCO's ids, from the identities or file names of the images; if one has no number, all are counted."""
    try:
        found = [image_number(image.identity or image.file_name) for image in data.images]
    except ValueError:
        found = []
    return found if len(set(found)) == len(data.images) else list(range(1, len(data.images) + 1))


def _add_image(
    coco: dict[str, list[dict[str, Any]]],
    data: HoiData,
    image: HoiImage,
    number: int,
    categories: Mapping[str, int],
    reasons: Counter[str],
) -> list[tuple[int, int, dict[str, list[int]]]]:
    """Append the image and its boxes; gives (image, annotation, action -> annotations of its roles) of its
    people."""
    if image.size is None:
        raise ValueError(
            f"{image.file_name}: V-COCO's boxes need the image's size; give images=FOLDER to read it"
        )
    coco["images"].append(
        {"id": number, "file_name": image.file_name, "width": image.size[0], "height": image.size[1]}
    )
    first = len(coco["annotations"]) + 1
    xyxy = image.boxes
    xywh = np.round(np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], 1), _DIGITS)
    for row, (box, code) in enumerate(zip(xywh.tolist(), image.classes.tolist(), strict=True)):
        one = {
            "id": first + row,
            "image_id": number,
            "category_id": categories[data.objects[code]],
            "bbox": box,
        }
        crowd = int(image.crowd is not None and image.crowd[row])
        coco["annotations"].append(one | {"area": box[2] * box[3], "iscrowd": crowd})
    done: dict[int, dict[str, list[int]]] = {
        row: {} for row in np.flatnonzero(labelled_people(data, image)).tolist()
    }
    for subject, end, column in image.interactions.tolist():
        action = ACTION_OF[COLUMNS[column]]
        roles = done.setdefault(subject, {}).setdefault(action, [0] * len(ROLES[action]))
        if end == NO_OBJECT or not roles:
            continue
        role = ROLES[action].index(COLUMNS[column].removeprefix(f"{action}_"))
        if roles[role]:
            reasons["second_object_of_an_action"] += 1
        else:
            roles[role] = first + end
    reasons["image_without_people"] += not done
    return [(number, first + row, actions) for row, actions in done.items()]


def _actions(people: list[tuple[int, int, dict[str, list[int]]]]) -> list[dict[str, Any]]:
    """The entries of `vcoco_<split>.json`: every person in every action, with label 1 where they do it."""
    images, persons = [one[0] for one in people], [one[1] for one in people]
    found = []
    for action, roles in ROLES.items():
        label = [int(action in does) for _, _, does in people]
        ends = [
            [does.get(action, [0] * len(roles))[place] for _, _, does in people]
            for place in range(len(roles))
        ]
        entry: dict[str, Any] = {"action_name": action, "image_id": images, "ann_id": persons, "label": label}
        entry |= {"role_name": ["agent", *roles], "role_object_id": sum(ends, list(persons))}
        found.append(entry | {"include": [["person"], *([] for _ in roles)]})
    return found
