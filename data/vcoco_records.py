"""V-COCO's two official documents, checked: a record that cannot be used is counted, a file is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from relforge.data.hoi import is_box
from relforge.data.vcoco_actions import ACTIONS, ROLES
from relforge.stages.ingest.values import as_flag, as_pixels, as_text, is_number


@dataclass(frozen=True)
class Box:
    """One annotation of `instances_vcoco_all_2014.json`.

    Args:
        id, image, category: numbers of the file.
        xywh: left, top, width, height in pixels.
        area: of the object, pixels.
        crowd: it is around a group.
    """

    id: int
    image: int
    category: int
    xywh: tuple[float, float, float, float]
    area: float
    crowd: bool


@dataclass(frozen=True)
class Action:
    """One entry of `vcoco_<split>.json`.

    Args:
        name: of the action.
        images, people, labels: N numbers of the file; label 1 means that the person does it.
        ends: N x roles, annotations of the objects, 0 where there is none.
    """

    name: str
    images: list[int]
    people: list[int]
    labels: list[int]
    ends: np.ndarray


@dataclass(frozen=True)
class Official:
    """Both documents.

    Args:
        images: COCO id -> (file name, (width, height)) of the images that the actions name.
        categories: number -> name.
        boxes: of these images, without those that the file says to ignore.
        actions: the 26, in order.
        reasons: what was left out, reason -> how many.
    """

    images: dict[int, tuple[str, tuple[int, int]]]
    categories: dict[int, str]
    boxes: list[Box]
    actions: list[Action]
    reasons: Counter[str]

    @property
    def labelled(self) -> set[int]:
        """Annotations of the people whose actions somebody labelled."""
        return set(self.actions[0].people)


def check_official(instances: Any, actions: Any, where: str) -> Official:
    """Check the two documents.

    Reasons: `unknown_image` (the actions name an image that is not there), `malformed_image`,
        `malformed_box`.

    Raises:
        ValueError: they are of another form, or name other actions.
    """
    checked = _actions(actions, where)
    wanted = {number for action in checked for number in action.images}
    if not isinstance(instances, Mapping):
        raise ValueError(f"{where}: no V-COCO annotation: expected images, annotations and categories")
    lists = {name: instances.get(name) for name in ("images", "annotations", "categories")}
    if missing := [name for name, rows in lists.items() if not isinstance(rows, list)]:
        raise ValueError(f"{where}: no V-COCO annotation: {missing[0]!r} is missing or no list")
    reasons: Counter[str] = Counter()
    images: dict[int, tuple[str, tuple[int, int]]] = {}
    for one in lists["images"] or ():
        record = one if isinstance(one, dict) else {}
        number, name = record.get("id"), record.get("file_name")
        size = as_pixels(record.get("width")), as_pixels(record.get("height"))
        if not _is_id(number) or not all(size):
            reasons["malformed_image"] += 1
        elif number in wanted:
            images[number] = (as_text(name) or f"{number:012d}.jpg", size)
    if not images:
        raise ValueError(f"{where}: none of the images that the actions name can be used")
    reasons["unknown_image"] = len(wanted) - len(images)
    categories = _categories(lists["categories"] or (), where)
    boxes = [box for one in lists["annotations"] or () if (box := _box(one, images, reasons)) is not None]
    return Official(images, categories, boxes, checked, +reasons)


def _actions(actions: Any, where: str) -> list[Action]:
    rows = actions if isinstance(actions, list) else []
    names = [one.get("action_name") if isinstance(one, dict) else None for one in rows]
    if names != ACTIONS:
        raise ValueError(f"{where}: the actions are {names[:3]}..., not V-COCO's 26")
    return [_action(one, where) for one in rows]


def _action(one: Mapping[str, Any], where: str) -> Action:
    name = str(one["action_name"])
    images, people, labels = (_numbers(one.get(key)) for key in ("image_id", "ann_id", "label"))
    roles = 1 + len(ROLES[name])
    ends = _numbers(one.get("role_object_id"))
    fits = images is not None and people is not None and labels is not None and ends is not None
    if not fits or not len(images) == len(people) == len(labels) == len(ends) / roles:  # type: ignore[arg-type]
        raise ValueError(
            f"{where}: action {name}: expected lists of N numbers as image_id, ann_id and label, and one of "
            f"{roles} x N as role_object_id"
        )
    assert images is not None
    assert people is not None
    assert labels is not None
    assert ends is not None
    table = np.array(ends, np.int64).reshape(roles, -1).T
    return Action(name, images, people, labels, table[:, 1:])


def _numbers(values: Any) -> list[int] | None:
    """A list of whole numbers; None for anything else."""
    if not isinstance(values, list) or not all(_is_id(one) or isinstance(one, bool) for one in values):
        return None
    return [int(one) for one in values]


def _is_id(value: object) -> TypeGuard[int]:
    return type(value) is int and abs(value) < 2**62


def _categories(rows: Sequence[Any], where: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for one in rows:
        record = one if isinstance(one, dict) else {}
        if not _is_id(record.get("id")) or as_text(record.get("name")) is None:
            raise ValueError(f"{where}: categories: expected id and name, found {one!r:.60}")
        found[record["id"]] = record["name"]
    return found


def _box(one: Any, images: Mapping[int, Any], reasons: Counter[str]) -> Box | None:
    record = one if isinstance(one, dict) else {}
    sides, area = record.get("bbox"), record.get("area")
    number, image, category = (record.get(key) for key in ("id", "image_id", "category_id"))
    if not (_is_id(number) and _is_id(image) and _is_id(category) and is_box(sides)):
        reasons["malformed_box"] += 1
        return None
    if image not in images or record.get("ignore", 0) == 1:
        return None
    x, y, w, h = map(float, sides)
    size = float(area) if is_number(area) else w * h
    return Box(number, image, category, (x, y, w, h), size, bool(as_flag(record.get("iscrowd"))))
