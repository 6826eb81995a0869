"""Detections per interaction as one JSON file.

`[{"id", "verb", "object", "detections": [[image, x1, y1, x2, y2, x1, y1, x2, y2, score], ...]}, ...]`: the
person's box, then the object's, in pixels; `id` is the interaction's number in HICO-DET, 1 to 600, where it
is one of them.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.data import hico
from relforge.data.hoi_json import load_json
from relforge.evaluation.annotated import PERSON
from relforge.evaluation.predictions.table import as_name, as_rows, corners, of_columns


def write(table: pa.Table, path: Path) -> Counter[str]:
    """Write one file; other subjects than people are left out (`subject_is_no_person`)."""
    table = as_rows(table)
    numbers = {pair: number for number, pair in enumerate(hico.interactions(), 1)}
    values = np.concatenate(
        [corners(table, "subject"), corners(table, "object"), table["score"].to_numpy()[:, None]], 1
    )
    names = zip(
        *(table[name].to_pylist() for name in ("image_id", "subject", "predicate", "object")), strict=True
    )
    found: dict[tuple[str, str], list[list[Any]]] = {}
    left_out: Counter[str] = Counter()
    for (image, subject, predicate, object_), row in zip(names, values.tolist(), strict=True):
        if subject != PERSON:
            left_out["subject_is_no_person"] += 1
            continue
        found.setdefault((predicate, object_), []).append([image, *row])
    order = sorted(found, key=lambda pair: (numbers.get(pair, len(numbers) + 1), pair))
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for place, pair in enumerate(order):
            head = {"id": numbers[pair]} if pair in numbers else {}
            one = {**head, "verb": pair[0], "object": pair[1], "detections": found[pair]}
            file.write((",\n" if place else "\n") + json.dumps(one))
        file.write("\n]\n")
    return left_out


def read(path: str) -> pa.Table:
    """Read the file; an interaction may have its `id` alone.

    Raises:
        ValueError: it is of another form.
    """
    known = hico.interactions()
    image: list[str] = []
    predicate: list[str] = []
    object_: list[str | None] = []
    rows: list[list[float]] = []
    try:
        for one in load_json(path):
            named = "verb" in one
            pair = (as_name(one["verb"]), as_name(one["object"])) if named else known[int(one["id"]) - 1]
            for name, *values in one["detections"]:
                if len(values) != 9:
                    raise ValueError(f"a detection of {pair} has {len(values)} numbers, not 9")
                image.append(as_name(name))
                predicate.append(pair[0])
                object_.append(pair[1])
                rows.append([float(value) for value in values])
    except (KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: no detections per interaction: {error}") from error
    values = np.array(rows, float).reshape(-1, 9)
    return of_columns(image, [PERSON] * len(image), predicate, object_, values[:, :8], values[:, 8])
