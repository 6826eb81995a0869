"""V-COCO detections as `vsrl_eval` reads them: a pickled list of one dictionary a pair.

`{image_id, person_box: [x1, y1, x2, y2], <action>_agent: score, <action>_<role>: [x1, y1, x2, y2, score],
...}`, nan where there is no detection or no object. A pickle can run any code when it is read; this one is
read without: nothing but lists, dictionaries, numbers, texts and NumPy arrays is admitted. Prefer the table:
a pickle is written for the published evaluation alone.
"""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.data.vcoco_actions import ACTION_OF, ACTIONS, COLUMNS, ROLE_COLUMNS, ROLES
from relforge.data.vcoco_images import image_number
from relforge.evaluation.predictions.table import BOXES
from relforge.evaluation.vcoco_detections import AGENTS, of_table


def write(table: pa.Table, path: Path) -> Counter[str]:
    """Write the pickle, protocol 2."""
    names = table["image_id"].unique().to_pylist()
    images = [image_number(str(name)) for name in names]
    found = of_table(table, images, "detections")
    scores = np.full((len(found.image), len(COLUMNS) + len(AGENTS)), np.nan)
    for place, name in enumerate((*COLUMNS, *AGENTS)):
        if name in found.scores:
            rows, values = found.scores[name]
            scores[rows, place] = values
    person, object_ = found.person_box.astype(float), found.object_box.astype(float)
    documents = []
    for row in range(len(found.image)):
        one: dict[str, Any] = {"image_id": images[found.image[row]], "person_box": person[row]}
        for place, column in enumerate(COLUMNS):
            if column in ROLE_COLUMNS:
                one[column] = np.append(object_[row], scores[row, place])
        for place, agent in enumerate(AGENTS, len(COLUMNS)):
            one[agent] = float(scores[row, place])
        documents.append(one)
    with path.open("wb") as file:
        pickle.dump(documents, file, protocol=2)
    return Counter()


def read(path: str) -> pa.Table:
    """Read a pickle into V-COCO's wide table; a pair whose roles have different boxes becomes a row for each.

    Raises:
        ValueError: it holds something else than such detections; nothing in it was called.
        OSError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            documents = _Plain(file).load()
        rows = [row for one in documents for row in _rows(one)]
    except (
        pickle.UnpicklingError,
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        EOFError,
        MemoryError,
    ) as error:
        raise ValueError(f"{path} is no pickle of V-COCO detections: {error}") from error
    if not rows:
        raise ValueError(f"{path} holds no detection")
    columns = {"image_id": pa.array([row[0] for row in rows], pa.string())}
    boxes = np.array([row[1] for row in rows])
    for name, values in zip(BOXES, boxes.T, strict=True):
        columns[name] = pa.array(values, mask=np.isnan(values))
    scores = np.array([row[2] for row in rows])
    for name, values in zip((*COLUMNS, *AGENTS), scores.T, strict=True):
        columns[name] = pa.array(values, mask=np.isnan(values))
    return pa.table(columns)


def _rows(one: dict[str, Any]) -> list[tuple[str, list[float], np.ndarray]]:
    """Image, xywh of both boxes, and scores of a pair; one row for each object's box among its roles."""
    person = _xywh(one["person_box"])
    by_box: dict[tuple[float, ...], np.ndarray] = {}

    def scores(box: Sequence[float]) -> np.ndarray:
        key = tuple(-1.0 if np.isnan(side) else side for side in box)
        return by_box.setdefault(key, np.full(len(COLUMNS) + len(AGENTS), np.nan))

    kept: dict[tuple[float, ...], list[float]] = {}
    for column in ROLE_COLUMNS:
        if column not in one:
            continue
        *sides, score = (float(value) for value in one[column])
        box = _xywh(sides) if not any(map(np.isnan, sides)) and any(sides) else [np.nan] * 4
        own = scores(box)
        kept[tuple(-1.0 if np.isnan(side) else side for side in box)] = box
        own[COLUMNS.index(column)] = score
    if not by_box:
        scores([np.nan] * 4)
        kept[(-1.0,) * 4] = [np.nan] * 4
    first = next(iter(by_box.values()))
    for action in ACTIONS:
        agent = float(one.get(f"{action}_agent", np.nan))
        first[len(COLUMNS) + ACTIONS.index(action)] = agent
        if not ROLES[action]:
            first[COLUMNS.index(next(name for name, of in ACTION_OF.items() if of == action))] = agent
    number = str(int(one["image_id"]))
    return [(number, person + kept[key], values) for key, values in by_box.items()]


def _xywh(corners: Sequence[float]) -> list[float]:
    x1, y1, x2, y2 = (float(side) for side in corners)
    return [x1, y1, x2 - x1, y2 - y1]


def _array(subtype: object, shape: object, kind: object) -> np.ndarray:
    """An empty array, which the pickle then fills; its own shape and type play no part."""
    return np.ndarray((0,), "b")


def _dtype(kind: str, *_: object) -> np.dtype[Any]:
    """A type of numbers; what follows the name says how it is copied and plays no part."""
    if not re.fullmatch(r"[<>|=]?[bifu][1248]", str(kind)):
        raise pickle.UnpicklingError(f"an array of {kind!r}, which is no type of numbers")
    return np.dtype(kind)


def _from_buffer(data: bytes, kind: np.dtype[Any], shape: tuple[int, ...], order: str) -> np.ndarray:
    """An array as protocol 5 has it."""
    return np.frombuffer(bytes(data), kind).reshape(shape)


def _scalar(kind: np.dtype[Any], value: bytes = b"") -> Any:
    return np.frombuffer(value.encode("latin1") if isinstance(value, str) else value, kind)[0]


def _bytes(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Callable[..., Any] | None] = {
    ("_codecs", "encode"): _bytes,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _dtype,
    **{
        (f"numpy.{core}.multiarray", name): found
        for core in ("core", "_core")
        for name, found in (("_reconstruct", _array), ("scalar", _scalar))
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}
"""What a pickle may name: the parts of NumPy arrays and numbers, and the form in which protocol 2 has bytes.
The class of arrays is only ever handed on to `_array`.
"""


class _Plain(pickle.Unpickler):
    """Reads lists, dictionaries, numbers, texts and arrays; anything else is refused before it is called."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}; only lists, dictionaries, numbers and NumPy arrays are read"
            ) from None

    def persistent_load(self, pid: object) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")
