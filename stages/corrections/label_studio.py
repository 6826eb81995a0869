"""Corrections from Label Studio's JSON export: what became of the boxes and relations shown.

The file is a list of tasks, `{"data": {"image_id", "shown", ...}, "annotations": [{"result": [...],
"was_cancelled", "updated_at"}]}`; a result is a list of regions (`rectanglelabels`, in percent of the image)
and of relations (`from_id`, `to_id`, `direction`, `labels`). A region that a person drew has an id of the
tool's; one that relforge exported is `box-N`. See https://labelstud.io/guide/export.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from relforge.stages.corrections.boxes import SCHEMA as BOXES
from relforge.stages.corrections.corrections import Corrections
from relforge.stages.corrections.regions import Box, Region, read_regions
from relforge.stages.corrections.table import ADDED, REMOVED, RIGHT, SCHEMA

Fact = tuple[int, str, int]
"""Subject box, predicate, object box."""
_SLACK = 0.02
"""Share by which the proportions of the image that was shown may differ from the run's."""


class NoCorrections(ValueError):
    """The file is none of Label Studio's JSON exports, or of another run."""


def read_corrections(
    path: str,
    boxes_of: Callable[[Sequence[str]], Mapping[str, list[Box]]],
    sizes: Mapping[str, tuple[int, int]],
) -> tuple[Corrections, list[str], Counter[str]]:
    """The corrections of a file.

    Of an image that several people labelled, the annotation that was changed last counts.

    Args:
        path: Label Studio's JSON export.
        boxes_of: image ids -> boxes of each.
        sizes: image id of the run -> width and height, pixels.

    Returns:
        the corrections, the images that were judged, and counts: `images`, verdicts of relations and of boxes
        (`boxes_right`, ...); left out are `not_annotated` (tasks without an annotation, or a cancelled
        one), `unknown_image` (of images that the run does not have), `turned_image` (that was turned in the
        tool, or shown in other proportions than the boxes are written for), regions that are no box
        (`regions.read_regions`), and relations `without_label`, `without_box` (of such a region) or of a box
        with itself (`self_relation`).

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
    for image, (_, annotation) in list(judged.items()):
        if _is_turned(annotation.get("result") or [], sizes[image]):
            counts["turned_image"] += 1
            del judged[image]
    boxes = boxes_of(list(judged))
    source = f"label-studio {Path(path).name}"
    rows: list[dict[str, Any]] = []
    box_rows: list[dict[str, Any]] = []
    for image, (data, annotation) in judged.items():
        counts["images"] += 1
        result = annotation.get("result") or []
        regions, found = read_regions(result, boxes.get(image, []), sizes[image], counts)
        box_rows += [{"image_id": image, "source": source, **one} for one in found]
        wanted = _facts(result, regions, counts)
        shown = {(int(s), str(p), int(o)): score for s, p, o, score in data.get("shown") or ()}
        for fact in sorted({*wanted, *shown}):
            verdict = ADDED if fact not in shown else RIGHT if fact in wanted else REMOVED
            counts[verdict] += 1
            row = {"image_id": image, "subject_box": fact[0], "predicate": fact[1], "object_box": fact[2]}
            rows.append(row | {"verdict": verdict, "score": shown.get(fact), "source": source})
    tables = pa.Table.from_pylist(rows, SCHEMA), pa.Table.from_pylist(box_rows, BOXES)
    return Corrections(*tables), list(judged), counts


def _is_turned(result: Sequence[Region], size: tuple[int, int]) -> bool:
    """Whether percents are of another view of the image than the run's boxes are written for."""
    for region in result:
        width, height = region.get("original_width"), region.get("original_height")
        if region.get("image_rotation"):
            return True
        if width and height and abs(width * size[1] / (height * size[0]) - 1) > _SLACK:
            return True
    return False


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
            counts["without_box"] += len(labels)
        elif ends[0] == ends[1]:
            counts["self_relation"] += len(labels)
        else:
            there, back = (ends[0], ends[1]), (ends[1], ends[0])
            pairs = {"left": [back], "bi": [there, back]}.get(str(row.get("direction")), [there])
            facts |= {(subject, label, object_) for subject, object_ in pairs for label in labels}
    return facts
