"""COCO's detection JSON with a list `relations`, as `relforge export --to coco` writes it.

    {"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name"}],
     "annotations": [{"id", "image_id", "category_id", "bbox": [x, y, w, h]}],
     "relations": [{"image_id", "subject_id", "object_id", "predicate"}]}

`subject_id` and `object_id` are ids of annotations.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from relforge.data.hoi import HoiData, HoiImage, is_box

_PARTS = ("images", "annotations", "categories", "relations")


def read(annotations: str, threshold: float = 0.0) -> HoiData:
    """Images are named by their file names; two that differ in folder and ending alone are refused.

    Left out and counted are annotations without a box or a known category (`malformed_annotation`) and
    relations of boxes that are not there, or of two images (`broken_relation`).

    Args:
        threshold: leave out relations that score lower.

    Raises:
        ValueError: not such a file.
        OSError: it cannot be read.
    """
    try:
        file = json.loads(Path(annotations).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{annotations}: no JSON ({error})") from error
    if not isinstance(file, dict) or not all(isinstance(file.get(part), list) for part in _PARTS):
        raise ValueError(f"{annotations}: give COCO's JSON with the lists {', '.join(_PARTS)}")
    reasons: Counter[str] = Counter()
    names = {row["id"]: str(row["name"]) for row in file["categories"]}
    objects = list(dict.fromkeys(names.values()))
    code = {name: place for place, name in enumerate(objects)}
    boxes: dict[Any, list[tuple[list[float], int]]] = defaultdict(list)
    place_of: dict[Any, tuple[Any, int]] = {}
    for row in file["annotations"]:
        if not is_box(row.get("bbox")) or row.get("category_id") not in names:
            reasons["malformed_annotation"] += 1
            continue
        x, y, w, h = row["bbox"]
        image = row.get("image_id")
        place_of[row.get("id")] = image, len(boxes[image])
        boxes[image].append(([x, y, x + w, y + h], code[names[row["category_id"]]]))
    verbs: dict[str, int] = {}
    rows: dict[Any, list[tuple[int, int, int]]] = defaultdict(list)
    for row in file["relations"]:
        ends = [place_of.get(row.get(end)) for end in ("subject_id", "object_id")]
        if ends[0] is None or ends[1] is None or ends[0][0] != ends[1][0] or not row.get("predicate"):
            reasons["broken_relation"] += 1
        elif row.get("score", 1.0) >= threshold:
            verb = verbs.setdefault(str(row["predicate"]), len(verbs))
            rows[ends[0][0]].append((ends[0][1], ends[1][1], verb))
    images = [_image(row, boxes[row.get("id")], rows[row.get("id")]) for row in file["images"]]
    _check_names(annotations, images)
    return HoiData(images, objects, list(verbs), reasons)


def is_export(path: str) -> bool:
    """Whether relforge wrote the file as COCO; others are named by their format."""
    if not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        return file.read(40).replace(b" ", b"").startswith(b'{"info":{"description":"relforge"}')


def _image(
    row: dict[str, Any], boxes: list[tuple[list[float], int]], rows: list[tuple[int, int, int]]
) -> HoiImage:
    width, height = row.get("width"), row.get("height")
    return HoiImage(
        str(row.get("file_name") or row.get("id")),
        np.array([box for box, _ in boxes], float).reshape(-1, 4),
        np.array([code for _, code in boxes], np.int64),
        np.array(rows, np.int64).reshape(-1, 3),
        (int(width), int(height)) if width and height else None,
        identity=str(row.get("id")),
    )


def _check_names(annotations: str, images: list[HoiImage]) -> None:
    """Detections name images by the file name without folder and ending."""
    seen: dict[str, str] = {}
    for image in images:
        stem = Path(image.file_name).stem
        if stem in seen:
            raise ValueError(
                f"{annotations}: the images {seen[stem]!r} and {image.file_name!r} would have one name; "
                "give the run folder instead, or rename one"
            )
        seen[stem] = image.file_name
