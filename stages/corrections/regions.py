"""Regions of Label Studio as boxes: which are the run's, as they were or changed, and which are new."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from relforge.stages.corrections.boxes import CHANGED
from relforge.stages.corrections.table import ADDED, REMOVED, RIGHT

Box = Mapping[str, Any]
"""A row of `boxes`."""
Region = Mapping[str, Any]

_NAME = re.compile(r"box-(\d{1,9})$")
_SAME = 0.9
"""IoU above which a region under another id is the box of its class."""
_SLACK = 0.5
"""Pixels by which a side may differ from the run's and still be as it was: percents are rounded."""
_LEFT = ("category", "x", "y", "w", "h")


def read_regions(
    result: Sequence[Region], boxes: Sequence[Box], size: tuple[int, int], counts: Counter[str]
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """The boxes that a person left, drew and took away.

    A region that cannot be a box is counted: `rotated_box`, `box_without_label`, `empty_box` (none of it in
    the image), `other_shape` (a polygon, a brush, ...). Where it was the run's, that box stays as it was.

    Args:
        result: of an annotation.
        boxes: of the run's image.
        size: width and height of the image, pixels.
        counts: takes what is counted.

    Returns:
        region id -> box id, and rows of `corrected_boxes` without `image_id` and `source`.
    """
    width, height = size
    known = {int(box["box_id"]): box for box in boxes}
    ids: dict[str, int] = {}
    left: dict[int, dict[str, Any]] = {}
    new: list[tuple[str, dict[str, Any]]] = []
    for region in result:
        if region.get("type") in ("relation", "choices", "textarea", "rating"):
            continue
        name = str(region.get("id", ""))
        number = _NAME.match(name)
        own = int(number[1]) if number and int(number[1]) in known else None
        drawn, fault = _read_box(region, width, height)
        if drawn is None:
            counts[fault] += 1
            if own is not None:  # there is no saying what was meant of it
                ids[name] = own
                left.setdefault(own, {one: known[own][one] for one in _LEFT})
            continue
        place = own if own is not None else _find_same(drawn, boxes)
        if place is None:
            new.append((name, drawn))
            continue
        ids[name] = place
        if own is not None or place not in left:
            left[place] = drawn
    rows = []
    for place, box in known.items():
        was = {one: box[one] for one in _LEFT}
        if place not in left:
            rows.append({"box_id": place, "verdict": REMOVED, **was})
        elif _is_as_it_was(left[place], was):
            rows.append({"box_id": place, "verdict": RIGHT, **was})
        else:
            rows.append({"box_id": place, "verdict": CHANGED, **left[place]})
    taken = set(known)
    for name, drawn in new:
        number = _NAME.match(name)  # it was added before, and exported with its number
        place = int(number[1]) if number and int(number[1]) not in taken else max(taken, default=-1) + 1
        taken.add(place)
        ids[name] = place
        rows.append({"box_id": place, "verdict": ADDED, **drawn})
    for row in rows:
        counts[f"boxes_{row['verdict']}"] += 1
    return ids, rows


def _read_box(region: Region, width: int, height: int) -> tuple[dict[str, Any] | None, str]:
    """Class and sides in pixels, cut to the image; or None and what is wrong."""
    if region.get("type") != "rectanglelabels":
        # a rectangle without a class has a type of its own
        return None, "box_without_label" if region.get("type") == "rectangle" else "other_shape"
    value = region.get("value") or {}
    labels = value.get("rectanglelabels") or []
    if not labels:
        return None, "box_without_label"
    if float(value.get("rotation") or 0):
        return None, "rotated_box"
    x, y, w, h = (float(value.get(side, 0)) / 100 for side in ("x", "y", "width", "height"))
    left, top = max(0.0, x) * width, max(0.0, y) * height
    right, bottom = min(1.0, x + w) * width, min(1.0, y + h) * height
    if not (right > left and bottom > top):
        return None, "empty_box"
    sides = {"x": left, "y": top, "w": right - left, "h": bottom - top}
    return {"category": str(labels[0]), **sides}, ""


def _is_as_it_was(left: Box, was: Box) -> bool:
    corners = [(one["x"], one["y"], one["x"] + one["w"], one["y"] + one["h"]) for one in (left, was)]
    near = all(abs(a - b) <= _SLACK for a, b in zip(*corners, strict=True))
    return near and left["category"] == was["category"]


def _find_same(drawn: Box, boxes: Sequence[Box]) -> int | None:
    """The box of the run that a region drawn anew repeats."""
    best, place = _SAME, None
    for box in boxes:
        if box["category"] != drawn["category"]:
            continue
        across = max(0.0, min(drawn["x"] + drawn["w"], box["x"] + box["w"]) - max(drawn["x"], box["x"]))
        down = max(0.0, min(drawn["y"] + drawn["h"], box["y"] + box["h"]) - max(drawn["y"], box["y"]))
        union = drawn["w"] * drawn["h"] + box["w"] * box["h"] - across * down
        if union > 0 and across * down / union > best:
            best, place = across * down / union, int(box["box_id"])
    return place
