"""Detections for V-COCO: people, an object for each, and a score for every action and role.

A table (docs/formats.md) is long, one row per (person, action and role, object) with `predicate` and `score`,
or wide, one row per pair with a column of scores for each of the 29 columns of `relforge.data.vcoco`. The
object's box is null or nan where the action has no object. `<action>_agent` scores the person alone; without
it the larger of the action's roles counts, as in published detections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from relforge.data.vcoco_actions import ACTION_OF, ACTIONS, COLUMNS, ROLES
from relforge.data.vcoco_images import image_number
from relforge.stages.export.publish import publish

AGENTS = [f"{action}_agent" for action in ACTIONS]
_BOXES = tuple(f"{end}_{side}" for end in ("subject", "object") for side in "xywh")


@dataclass(frozen=True)
class VcocoDetections:
    """n pairs with scores.

    Args:
        image: n places in the gold's images; -1 for images that it does not have.
        person_box: n x 4 xyxy, pixels.
        object_box: n x 4; nan where no object is detected.
        object: n names; None where they are not known.
        scores: column, or `<action>_agent`, -> (rows, score of each). nan is no detection.
    """

    image: np.ndarray
    person_box: np.ndarray
    object_box: np.ndarray
    object: np.ndarray | None
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]]


def of_pairs(
    image: np.ndarray,
    person_box: np.ndarray,
    object_box: np.ndarray,
    scores: Mapping[str, np.ndarray],
    object_: np.ndarray | None = None,
) -> VcocoDetections:
    """From one row per pair.

    Args:
        scores: column, or `<action>_agent`, -> n scores.
    """
    every = np.arange(len(image))
    complete = dict(scores)
    for action, agent in zip(ACTIONS, AGENTS, strict=True):
        if agent not in complete:
            names = [name for name, of in ACTION_OF.items() if of == action and name in complete]
            if names:
                complete[agent] = np.max([complete[name] for name in names], axis=0)
    found = {name: (every, values) for name, values in complete.items()}
    return VcocoDetections(image, person_box, object_box, object_, found)


def of_rows(
    image: np.ndarray,
    person_box: np.ndarray,
    object_box: np.ndarray,
    column: np.ndarray,
    score: np.ndarray,
    object_: np.ndarray | None = None,
) -> VcocoDetections:
    """From one row per (pair, column).

    Args:
        column: n names, a column or `<action>_agent`.
    """
    names = [*COLUMNS, *AGENTS]
    code = pc.fill_null(pc.index_in(pa.array(column, pa.string()), pa.array(names)), -1).to_numpy(
        zero_copy_only=False
    )
    rows = {name: np.flatnonzero(code == number) for number, name in enumerate(names)}
    found = {name: (of, score[of]) for name, of in rows.items() if len(of)}
    for action, agent in zip(ACTIONS, AGENTS, strict=True):
        columns = [name for name in COLUMNS if ACTION_OF[name] == action]
        of = np.concatenate([rows[name] for name in columns])
        if agent in found or not len(of):
            continue
        if len(ROLES[action]) > 1:
            pair = np.column_stack([image[of], person_box[of], object_box[of]]).astype(np.float64)
            _, same = np.unique(np.nan_to_num(pair, nan=-1e30), axis=0, return_inverse=True)
            order = np.lexsort((-score[of], same.reshape(-1)))
            best = np.append(True, np.diff(same.reshape(-1)[order]) != 0)
            of = np.sort(of[order[best]])
        found[agent] = of, score[of]
    return VcocoDetections(image, person_box, object_box, object_, found)


def read_vcoco_detections(path: str, images: Sequence[int]) -> VcocoDetections:
    """Read a table, long or wide.

    Args:
        images: COCO ids of the gold's images.

    Raises:
        ValueError: no such file, a column that is missing or of another type, or a person's box that is.
    """
    if not Path(path).exists():
        raise ValueError(f"detections: {path} does not exist")
    try:
        table = ds.dataset(path, format="parquet")
        names = table.schema.names
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"detections: {path} is not Parquet: {error}") from error
    wide = [name for name in (*COLUMNS, *AGENTS) if name in names]
    needed = ["image_id", *_BOXES, *(() if wide else ("predicate", "score"))]
    if missing := [name for name in needed if name not in names]:
        either = "" if wide else f", or one column of scores for each of {', '.join(COLUMNS[:3])}, ..."
        raise ValueError(
            f"detections: {path} has no column {missing[0]!r}; the columns are {', '.join(needed)}{either}"
        )
    columns = table.to_table(columns=[*needed, *wide, *(["object"] if "object" in names else [])])
    return of_table(columns, images, f"detections: {path}")


def of_table(table: pa.Table, images: Sequence[int], where: str) -> VcocoDetections:
    """From a table, long or wide.

    Args:
        images: COCO ids of the gold's images.
        where: what errors call it.

    Raises:
        ValueError: as `read_vcoco_detections`.
    """
    names = table.column_names
    wide = [name for name in (*COLUMNS, *AGENTS) if name in names]
    columns = table
    if not len(columns):
        raise ValueError(f"{where} has no rows, so there is nothing to measure")
    try:
        numbers = {
            name: pc.fill_null(columns[name].cast(pa.float32()), np.nan).to_numpy()
            for name in (*_BOXES, *(wide or ("score",)))
        }
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{where}: {error}") from error
    boxes = []
    for end in ("subject", "object"):
        x, y, w, h = (numbers[f"{end}_{side}"] for side in "xywh")
        boxes.append(np.stack([x, y, x + w, y + h], 1))
    person_box, object_box = boxes
    if not np.isfinite(person_box).all():
        raise ValueError(f"{where}: a subject's box has a value that is missing or not finite")
    image = _places(columns["image_id"], images, where)
    object_ = np.array(columns["object"].to_pylist(), object) if "object" in names else None
    if wide:
        return of_pairs(image, person_box, object_box, {name: numbers[name] for name in wide}, object_)
    predicates = np.array(columns["predicate"].to_pylist(), object)
    found = of_rows(image, person_box, object_box, predicates, numbers["score"], object_)
    if not found.scores:
        raise ValueError(
            f"{where}: no predicate is an action and role of V-COCO, the first is "
            f"{predicates[0]!r}; choose from {', '.join((*COLUMNS, *AGENTS))}"
        )
    return found


def _places(column: pa.ChunkedArray, images: Sequence[int], where: str) -> np.ndarray:
    """Place of every row's image among `images`, -1 where it is not there."""
    values = pc.unique(column)
    try:
        numbers = [image_number(str(value)) for value in values.to_pylist()]
    except ValueError as error:
        raise ValueError(f"{where}: image_id is COCO's id or file name: {error}") from error
    place = {number: row for row, number in enumerate(images)}
    of_value = np.array([place.get(number, -1) for number in numbers], np.int64)
    return of_value[pc.index_in(column, values).to_numpy()]


def write_vcoco_detections(found: VcocoDetections, images: Sequence[int], path: Path) -> None:
    """Write the wide table to one file, which appears whole or not at all: one row per pair, a column of
    scores for each column and agent, null where there is no detection. Pairs of images that are not known are
    left out.

    Args:
        images: COCO ids that `found.image` counts in.
    """
    known = np.flatnonzero(found.image >= 0)
    place = np.full(len(found.image), -1)
    place[known] = np.arange(len(known))
    columns: dict[str, pa.Array] = {
        "image_id": pa.array([str(images[number]) for number in found.image[known]], pa.string())
    }
    if found.object is not None:
        columns["object"] = pa.array(found.object[known].tolist(), pa.string())
    for end, box in (("subject", found.person_box[known]), ("object", found.object_box[known])):
        box = box.astype(np.float64)
        sides = (box[:, 0], box[:, 1], box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])
        for side, values in zip("xywh", sides, strict=True):
            columns[f"{end}_{side}"] = pa.array(values, pa.float64(), mask=np.isnan(values))
    for name in (*COLUMNS, *AGENTS):
        if name not in found.scores:
            continue
        rows, score = found.scores[name]
        values = np.full(len(known), np.nan, np.float64)
        own = place[rows] >= 0
        values[place[rows[own]]] = score[own]
        columns[name] = pa.array(values, pa.float64(), mask=np.isnan(values))
    with publish(str(path)) as partial:
        pq.write_table(pa.table(columns), partial)
