"""Detections as QPIC, CDN and the HOIA challenge write them: one JSON list of images.

`[{"file_name", "predictions": [{"bbox": [x1, y1, x2, y2], "category_id", "score"}], "hoi_prediction":
[{"subject_id", "object_id", "category_id", "score"}]}]`. Numbers are those of the annotation lists
(`relforge.data.hoi_json`): COCO's ids and verbs from 1 for HICO-DET, verbs from 0 and `object_id` -1 for
V-COCO. relforge writes the names beside them.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.data import hico
from relforge.data.hoi import MISSING, NO_OBJECT
from relforge.data.hoi_json import load_json
from relforge.data.vcoco_actions import COLUMNS
from relforge.evaluation.annotated import image_id
from relforge.evaluation.predictions.table import as_name, as_rows, corners, of_columns
from relforge.stages.class_names import class_key
from relforge.stages.export.hico import FIRST_OTHER_CLASS
from relforge.stages.export.numbers import Numbers
from relforge.stages.hico_lists import object_ids, verb_ids

BENCHMARKS = ("hico", "vcoco")


def write(table: pa.Table, path: Path) -> Counter[str]:
    """Write one file, images in the order of the table."""
    table = as_rows(table)
    classes = Numbers({class_key(k): v for k, v in object_ids().items()}, class_key, FIRST_OTHER_CLASS)
    verbs = Numbers(verb_ids(), str, len(verb_ids()) + 1)
    columns = {name: number for number, name in enumerate(COLUMNS)}
    names = zip(
        *(table[name].to_pylist() for name in ("image_id", "subject", "predicate", "object")), strict=True
    )
    boxes = np.concatenate([corners(table, "subject"), corners(table, "object")], 1).tolist()
    images: dict[str, tuple[dict[tuple[Any, ...], int], list[dict[str, Any]]]] = {}
    rows = zip(names, boxes, table["score"].to_pylist(), strict=True)
    for (image, subject, predicate, object_), sides, score in rows:
        places, found = images.setdefault(image, ({}, []))
        without = np.isnan(sides[4])
        ends = [places.setdefault((subject, *sides[:4]), len(places))]
        ends.append(NO_OBJECT if without else places.setdefault((object_, *sides[4:]), len(places)))
        number = columns[predicate] if predicate in columns else verbs.number(predicate)
        row = {"subject_id": ends[0], "object_id": ends[1], "category_id": number, "verb": predicate}
        found.append(row | {"score": score})
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for place, (image, (places, found)) in enumerate(images.items()):
            predictions = [
                {"bbox": box, "category_id": classes.number(name), "category": name} for name, *box in places
            ]
            one = {"file_name": f"{image}.jpg", "predictions": predictions, "hoi_prediction": found}
            file.write((",\n" if place else "\n") + json.dumps(one))
        file.write("\n]\n")
    return Counter()


def read(path: str, benchmark: str = "hico") -> pa.Table:
    """Read the file.

    Args:
        benchmark: `hico` or `vcoco`, whose numbers count where there are no names.

    Raises:
        ValueError: another benchmark, or a file of another form.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f"benchmark: {benchmark!r} is not one of {', '.join(BENCHMARKS)}")
    verbs = dict(enumerate(COLUMNS)) if benchmark == "vcoco" else dict(enumerate(hico.verbs(), 1))
    classes = {number: hico.objects()[code] for number, code in hico.coco_codes().items()}
    columns: list[list[Any]] = [[], [], [], []]
    boxes, scores = [], []
    try:
        for one in load_json(path):
            name = image_id(as_name(one["file_name"]))
            found = [[float(side) for side in box["bbox"]] for box in one["predictions"]]
            if any(len(sides) != 4 for sides in found):
                raise ValueError(f"a box of {name} has not four sides")
            of_box = [
                as_name(box["category"]) if "category" in box else classes[int(box["category_id"])]
                for box in one["predictions"]
            ]
            for row in one["hoi_prediction"]:
                subject, end = int(row["subject_id"]), int(row["object_id"])
                verb = as_name(row["verb"]) if "verb" in row else verbs[int(row["category_id"])]
                object_ = MISSING if end == NO_OBJECT else of_box[end]
                for column, value in zip(columns, (name, of_box[subject], verb, object_), strict=True):
                    column.append(value)
                boxes.append(found[subject] + ([np.nan] * 4 if end == NO_OBJECT else found[end]))
                scores.append(float(row["score"]))
    except (KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path}: expected a list of images with file_name, predictions and hoi_prediction: {error!r}"
        ) from error
    table = np.array(boxes, float).reshape(-1, 8)
    return of_columns(columns[0], columns[1], columns[2], columns[3], table, np.array(scores, float))
