"""HICO-DET style JSON, as PPDM, QPIC, CDN and RLIPv2 read it for HICO-DET, V-COCO and Open Images.

One list: `[{file_name, annotations: [{bbox: [x1, y1, x2, y2], category_id}], hoi_annotation: [{subject_id,
object_id, category_id}]}]`. HICO-DET: categories are COCO's ids (1 to 90), verbs 1 to 117. V-COCO: verbs 0 to
28, and `object_id` -1 where there is no object. Open Images has `rel_annotations` with predicates from 0.
Lists that relforge writes also have `img_id`, `width`, `height`, the names beside the numbers, `iscrowd`, and
for V-COCO `labelled`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relforge.data.hoi import NO_OBJECT, HoiData, HoiImage
from relforge.stages.ingest.values import as_id, as_pixels, as_text

HIDDEN = "invisible_hoi"
"""Of an image in a list that relforge wrote: `[{verb_id, object_cat}]` of interactions without a visible
box."""

LABELLED = "labelled"
"""Of a person in a converted V-COCO list that relforge wrote: whether anybody labelled what they do."""


def load_json(path: str) -> Any:
    """The document of a file.

    Raises:
        ValueError: it is no JSON.
        OSError: it cannot be read.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path}: its lists or objects are nested too deeply") from error


def read_hoi_json(
    path: str,
    objects: Sequence[str],
    verbs: Sequence[str],
    category_codes: Mapping[int, int],
    verb_codes: Mapping[int, int],
    rows: str = "hoi_annotation",
    document: Any = None,
) -> HoiData:
    """Read the file; what cannot be used is counted, box by box and row by row.

    Reasons: `malformed_image`, `duplicate_image`, `bad_image_size` (it counts as not known), `malformed_box`,
        `unknown_category`, `malformed_row`,
    `unknown_box` (a row names a box that is not there), `unknown_verb`, `box_set_aside` (a row of a box that
    was left out).

    Args:
        objects, verbs: names by code.
        category_codes: category id of the file -> code of the object.
        verb_codes: id of the file -> code of the verb.
        rows: key of the interactions.
        document: of the file, where it is loaded already.

    Raises:
        ValueError: the file is no list of images, or holds none that can be used.
    """
    document = load_json(path) if document is None else document
    if not isinstance(document, list):
        raise ValueError(f"{path}: expected a list of images with file_name, annotations and {rows}")
    reader = _Reader(category_codes, verb_codes, rows)
    images: dict[str, HoiImage] = {}
    for record in document:
        image = reader.image(record)
        if image is not None:
            images.setdefault(image.file_name, image)
    if not images:
        raise ValueError(f"{path}: no image with file_name, annotations and {rows} among {len(document)}")
    reader.reasons["duplicate_image"] += len(document) - len(images) - reader.reasons["malformed_image"]
    return HoiData(list(images.values()), objects, verbs, +reader.reasons)


class _Reader:
    def __init__(self, codes: Mapping[int, int], verbs: Mapping[int, int], rows: str) -> None:
        self.codes, self.verbs, self.rows = codes, verbs, rows
        self.reasons: Counter[str] = Counter()

    def image(self, record: Any) -> HoiImage | None:
        try:
            name, annotations = record["file_name"], record["annotations"]
            interactions = record.get(self.rows, ())
            if not (
                as_text(name) is not None
                and isinstance(annotations, list)
                and isinstance(interactions, list | tuple)
            ):
                raise TypeError
        except (TypeError, KeyError, AttributeError):
            self.reasons["malformed_image"] += 1
            return None
        boxes: list[list[float]] = []
        classes: list[int] = []
        kept: list[int] = []  # place in the file -> row here, or -1
        labelled: list[bool] | None = None
        crowd: list[int] = []
        for box in annotations:
            corners, code = self._box(box)
            kept.append(len(boxes) if corners is not None else -1)
            if corners is None:
                continue
            if LABELLED in box and labelled is None:
                labelled = [False] * len(boxes)
            if labelled is not None:
                labelled.append(bool(box.get(LABELLED)))
            if box.get("iscrowd"):
                crowd.append(len(boxes))
            boxes.append(corners)
            classes.append(code)
        found = [row for one in interactions if (row := self._row(one, kept)) is not None]
        broken = any(self._points_past(one, len(kept)) for one in interactions)
        identity = as_id(record.get("img_id"))
        hidden = self._hidden(record.get(HIDDEN, ()))
        size = as_pixels(record.get("width")), as_pixels(record.get("height"))
        if not all(size) and {"width", "height"} & record.keys():
            self.reasons["bad_image_size"] += 1
        return HoiImage(
            name,
            np.array(boxes, float).reshape(-1, 4),
            np.array(classes, np.int64),
            np.array(found, np.int64).reshape(-1, 3),
            size if all(size) else None,
            tuple(sorted({code for _, code in hidden})),
            hidden,
            broken,
            labelled=None if labelled is None else np.array(labelled, bool),
            crowd=np.isin(np.arange(len(boxes)), crowd) if crowd else None,
            identity=None if identity is None else str(identity),
        )

    def _hidden(self, rows: Any) -> tuple[tuple[int, int], ...]:
        try:
            return tuple((self.verbs[row["verb_id"]], self.codes[row["object_cat"]]) for row in rows)
        except (TypeError, KeyError):
            self.reasons["malformed_row"] += 1
            return ()

    @staticmethod
    def _points_past(row: Any, boxes: int) -> bool:
        try:
            return max(int(row["subject_id"]), int(row["object_id"])) >= boxes
        except (TypeError, KeyError, ValueError, OverflowError):
            return False

    def _box(self, box: Any) -> tuple[list[float] | None, int]:
        try:
            corners = [float(side) for side in box["bbox"]]
            category = int(box["category_id"])
        except (TypeError, KeyError, ValueError, OverflowError):
            self.reasons["malformed_box"] += 1
            return None, 0
        if len(corners) != 4 or not np.isfinite(corners).all():
            self.reasons["malformed_box"] += 1
            return None, 0
        if category not in self.codes:
            self.reasons["unknown_category"] += 1
            return None, 0
        return corners, self.codes[category]

    def _row(self, row: Any, kept: Sequence[int]) -> tuple[int, int, int] | None:
        try:
            subject, place = int(row["subject_id"]), int(row["object_id"])
            verb = self.verbs.get(int(row["category_id"]), -1)
        except (TypeError, KeyError, ValueError, OverflowError):
            self.reasons["malformed_row"] += 1
            return None
        if not (0 <= subject < len(kept) and NO_OBJECT <= place < len(kept)):
            self.reasons["unknown_box"] += 1
        elif verb < 0:
            self.reasons["unknown_verb"] += 1
        elif kept[subject] < 0 or (place != NO_OBJECT and kept[place] < 0):
            self.reasons["box_set_aside"] += 1
        else:
            return kept[subject], NO_OBJECT if place == NO_OBJECT else kept[place], verb
        return None
