"""HICO-DET style lists, as `relforge.data.hoi_json` reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relforge.data.hoi import HoiData, HoiImage
from relforge.data.hoi_json import HIDDEN, LABELLED
from relforge.stages.export.scenes import as_number_or_text

_DIGITS = 6
"""Decimals of corners, in pixels; far below any annotator's precision."""


def write_list(
    path: Path,
    data: HoiData,
    object_numbers: Sequence[int],
    verb_numbers: Sequence[int],
    *,
    rows: str = "hoi_annotation",
    names: bool = True,
    interaction_numbers: Mapping[tuple[int, int], int] | None = None,
) -> None:
    """`[{file_name, img_id, width, height, annotations, hoi_annotation}]`, one image a line.

    Args:
        object_numbers, verb_numbers: number in the file of every code.
        rows: key of the interactions.
        names: write the names beside the numbers.
        interaction_numbers: (verb code, object code) -> `hoi_category_id`.
    """

    def records() -> Iterable[dict[str, Any]]:
        for image in data.images:
            record: dict[str, Any] = {"file_name": image.file_name}
            if image.identity is not None:
                record["img_id"] = as_number_or_text(image.identity)
            if image.size is not None:
                record |= {"width": image.size[0], "height": image.size[1]}
            boxes = _boxes(image, data.objects, object_numbers, names)
            found = []
            for subject, end, verb in image.interactions.tolist():
                row: dict[str, Any] = {"subject_id": subject, "object_id": end}
                row["category_id"] = verb_numbers[verb]
                number = (interaction_numbers or {}).get((verb, int(image.classes[end])))
                row |= {} if number is None else {"hoi_category_id": number}
                found.append(row | ({"verb": data.verbs[verb]} if names else {}))
            if image.hidden:
                record[HIDDEN] = [
                    {"verb_id": verb_numbers[verb], "object_cat": object_numbers[code]}
                    for verb, code in image.hidden
                ]
            yield record | {"annotations": boxes, rows: found}

    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for place, record in enumerate(records()):
            file.write((",\n" if place else "\n") + json.dumps(record, separators=(",", ":")))
        file.write("\n]\n")


def _boxes(
    image: HoiImage, objects: Sequence[str], numbers: Sequence[int], names: bool
) -> list[dict[str, Any]]:
    found = []
    corners = np.round(image.boxes, _DIGITS).tolist()
    for row, (box, code) in enumerate(zip(corners, image.classes.tolist(), strict=True)):
        one: dict[str, Any] = {"bbox": box, "category_id": numbers[code]}
        one |= {"category": objects[code]} if names else {}
        if image.crowd is not None:
            one["iscrowd"] = int(image.crowd[row])
        if image.labelled is not None:
            one[LABELLED] = int(image.labelled[row])
        found.append(one)
    return found
