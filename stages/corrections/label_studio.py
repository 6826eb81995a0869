"""Corrections from Label Studio's JSON export: what became of the relations that a person was shown.

The file is a list of tasks, `{"data": {"image_id", "shown", ...}, "annotations": [{"result": [...],
"was_cancelled", "updated_at"}]}`; a result is a list of regions (`rectanglelabels`, in percent of the image)
and of relations (`from_id`, `to_id`, `direction`, `labels`). See https://labelstud.io/guide/export.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from relforge.stages.corrections.table import ADDED, REMOVED, RIGHT, SCHEMA

Box = Mapping[str, Any]
"""A row of `boxes`."""
Fact = tuple[int, str, int]
"""Subject box, predicate, object box."""
_NAME = re.compile(r"box-(\d+)$")
_SAME = 0.9
"""IoU above which a region under another id is the box of its class."""


class NoCorrections(ValueError):
    """The file is none of Label Studio's JSON exports, or of another run."""


def read_corrections(
    path: str,
    boxes_of: Callable[[Sequence[str]], Mapping[str, list[Box]]],
    sizes: Mapping[str, tuple[int, int]],
) -> tuple[pa.Table, Counter[str]]:
    """The table `corrections` of a file.

    Of an image that several people labelled, the annotation that was changed last counts.

    Args:
        path: Label Studio's JSON export.
        boxes_of: image ids -> boxes of each.
        sizes: image id of the run -> width and height, pixels.

    Returns:
        the table, and counts: `images` that were judged; left out are `not_annotated` (tasks without an
        annotation, or a cancelled one), `unknown_image` (tasks of images that the run does not have), and
        relations `without_label`, of a `new_box` or of a box with itself (`self_relation`).

    Raises:
        NoCorrections: it cannot be read as such.
        OSError: there is no such file.
    """
    try:
        tasks = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise NoCorrections(f"{path}: no JSON ({error}); export from Label Studio as JSON") from error
    if not isinstance(tasks, list) or not all(isinstance(one, dict) and "data" in one for one in tasks):
        raise NoCorrections(f"{path}: not a list of tasks; export from Label Studio as JSON, not as JSON-MIN")
    counts = Counter(images=0)
    judged: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for number, task in enumerate(tasks):
        data = task["data"] if isinstance(task["data"], dict) else {}
        image = str(data.get("image_id", ""))
        if not image:
            raise NoCorrections(f"{path}: task {number}: data has no image_id; was it exported by relforge?")
        done = [one for one in task.get("annotations") or () if not one.get("was_cancelled")]
        if image not in sizes:
            counts["unknown_image"] += 1
        elif not done:
            counts["not_annotated"] += 1
        else:
            judged[image] = (
                data,
                max(done, key=lambda one: str(one.get("updated_at") or one.get("id") or "")),
            )
    if tasks and counts["unknown_image"] == len(tasks):
        raise NoCorrections(f"{path}: the run has none of its images; is it the run that was exported?")
    boxes = boxes_of(list(judged))
    rows: list[dict[str, Any]] = []
    for image, (data, annotation) in judged.items():
        counts["images"] += 1
        result = annotation.get("result") or []
        regions = _regions(result, boxes.get(image, []), sizes[image])
        wanted = _facts(result, regions, counts)
        shown = {(int(s), str(p), int(o)): score for s, p, o, score in data.get("shown") or ()}
        for fact in sorted({*wanted, *shown}):
            verdict = ADDED if fact not in shown else RIGHT if fact in wanted else REMOVED
            counts[verdict] += 1
            row = {"image_id": image, "subject_box": fact[0], "predicate": fact[1], "object_box": fact[2]}
            source = f"label-studio {Path(path).name}"
            rows.append(row | {"verdict": verdict, "score": shown.get(fact), "source": source})
    return pa.Table.from_pylist(rows, SCHEMA), counts


def _regions(
    result: Sequence[Mapping[str, Any]], boxes: Sequence[Box], size: tuple[int, int]
) -> dict[str, int]:
    """Region id -> box id; regions that are no box of the run are left out."""
    known = {box["box_id"] for box in boxes}
    found = {}
    for region in result:
        if region.get("type") != "rectanglelabels":
            continue
        name = str(region.get("id", ""))
        number = _NAME.match(name)
        if number and int(number[1]) in known:
            found[name] = int(number[1])
        elif (box := _same_box(region, boxes, size)) is not None:
            found[name] = box
    return found


def _same_box(region: Mapping[str, Any], boxes: Sequence[Box], size: tuple[int, int]) -> int | None:
    """The box of the run that a region drawn anew repeats."""
    value = region.get("value") or {}
    x, y, w, h = (
        float(value.get(side, 0)) * size[axis] / 100
        for side, axis in (("x", 0), ("y", 1), ("width", 0), ("height", 1))
    )
    best, place = _SAME, None
    for box in boxes:
        if box["category"] not in (value.get("rectanglelabels") or ()):
            continue
        across = max(0.0, min(x + w, box["x"] + box["w"]) - max(x, box["x"]))
        down = max(0.0, min(y + h, box["y"] + box["h"]) - max(y, box["y"]))
        union = w * h + box["w"] * box["h"] - across * down
        if union > 0 and across * down / union > best:
            best, place = across * down / union, int(box["box_id"])
    return place


def _facts(
    result: Sequence[Mapping[str, Any]], regions: Mapping[str, int], counts: Counter[str]
) -> set[Fact]:
    """The relations that the person left."""
    facts: set[Fact] = set()
    for row in result:
        if row.get("type") != "relation":
            continue
        ends = regions.get(str(row.get("from_id"))), regions.get(str(row.get("to_id")))
        labels = [str(label) for label in row.get("labels") or ()]
        if not labels:
            counts["without_label"] += 1
        elif ends[0] is None or ends[1] is None:
            counts["new_box"] += len(labels)
        elif ends[0] == ends[1]:
            counts["self_relation"] += len(labels)
        else:
            there, back = (ends[0], ends[1]), (ends[1], ends[0])
            pairs = {"left": [back], "bi": [there, back]}.get(str(row.get("direction")), [there])
            facts |= {(subject, label, object_) for subject, object_ in pairs for label in labels}
    return facts
