"""HICO-DET as fredzzhang/hicodet has it: `instances_train2015.json`, `instances_test2015.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from relforge.data import hico
from relforge.data.formats.hico_names import as_hico
from relforge.data.hoi import HoiData, Written

_DIGITS = 6


def write(data: HoiData, path: Path) -> Written:
    """`{filenames, annotation, size, empty, objects, verbs, correspondence}`, lists by image.

    An annotation has the parallel lists boxes_h, boxes_o (x1, y1, x2, y2 in pixels), hoi, object and verb,
    numbers from 0; objects and verbs are in alphabetic order there, with underscores. `empty` lists the
    images without a row.

    Left out are everything that is not HICO-DET's, and `box_without_row`.

    Raises:
        ValueError: the size of an image is not known.
    """
    data, left_out = as_hico(data, interactions=True)
    objects, verbs = (
        sorted(name.replace(" ", "_") for name in names) for names in (data.objects, data.verbs)
    )
    of_object = [objects.index(name.replace(" ", "_")) for name in data.objects]
    of_verb = [verbs.index(name.replace(" ", "_")) for name in data.verbs]
    hoi = {pair: number for number, pair in enumerate(hico.interactions())}
    document: dict[str, Any] = {"filenames": [], "annotation": [], "size": [], "empty": []}
    for place, image in enumerate(data.images):
        if image.size is None:
            raise ValueError(
                f"{image.file_name}: the format needs the image's size; give images=FOLDER to read it"
            )
        boxes = image.boxes.round(_DIGITS).tolist()
        one: dict[str, list[Any]] = {key: [] for key in ("boxes_h", "boxes_o", "hoi", "object", "verb")}
        used = set()
        for subject, end, verb in image.interactions.tolist():
            code = int(image.classes[end])
            row = (boxes[subject], boxes[end], hoi[data.verbs[verb], data.objects[code]])
            for key, value in zip(one, (*row, of_object[code], of_verb[verb]), strict=True):
                one[key].append(value)
            used |= {subject, end}
        left_out["box_without_row"] += len(boxes) - len(used)
        if not used:
            document["empty"].append(place)
        document["filenames"].append(image.file_name)
        document["annotation"].append(one)
        document["size"].append(list(image.size))
    document |= {"objects": objects, "verbs": verbs}
    document["correspondence"] = [
        [number, objects.index(name.replace(" ", "_")), verbs.index(verb.replace(" ", "_"))]
        for (verb, name), number in hoi.items()
    ]
    path.write_text(json.dumps(document, separators=(",", ":")))
    return Written(data, left_out)
