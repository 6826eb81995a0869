"""HICO-DET as its authors have it: `anno_bbox.mat`, one half."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from relforge.data import hico
from relforge.data.formats.hico_names import as_hico
from relforge.data.hoi import HoiData, HoiImage, Written

_SIDES = ("x1", "x2", "y1", "y2")
_DIGITS = 6


def write(data: HoiData, path: Path, half: str = "train") -> Written:
    """`bbox_train` or `bbox_test`: structs filename, size, hoi (id, bboxhuman, bboxobject, connection,
    invis), and `list_action`. Corners and numbers count from 1.

    Args:
        half: `train` or `test`.

    Left out are everything that is not HICO-DET's, and `box_without_row`.

    Raises:
        ValueError: another half, or the size of an image is not known.
    """
    from scipy.io import savemat

    if half not in ("train", "test"):
        raise ValueError(f"half: {half!r} is neither train nor test")
    data, left_out = as_hico(data, interactions=True)
    images = np.zeros(len(data), [(name, object) for name in ("filename", "size", "hoi")])
    for place, image in enumerate(data.images):
        if image.size is None:
            raise ValueError(
                f"{image.file_name}: the format needs the image's size; give images=FOLDER to read it"
            )
        size = np.array([(*image.size, 3)], [(name, object) for name in ("width", "height", "depth")])
        images[place] = (image.file_name, size, _hois(image, data))
        left_out["box_without_row"] += len(image.boxes) - len(set(image.interactions[:, :2].ravel().tolist()))
    actions = np.array(
        [(name.replace(" ", "_"), verb.replace(" ", "_")) for verb, name in hico.interactions()],
        [("nname", object), ("vname", object)],
    )
    with path.open("wb") as file:
        savemat(file, {f"bbox_{half}": images, "list_action": actions}, do_compression=True)
    return Written(data, left_out)


def _hois(image: HoiImage, data: HoiData) -> np.ndarray:
    number = {pair: place for place, pair in enumerate(hico.interactions(), 1)}
    rows: dict[int, list[tuple[int, int]]] = {
        number[data.verbs[verb], data.objects[code]]: [] for verb, code in image.hidden
    }
    for subject, end, verb in image.interactions.tolist():
        kind = number[data.verbs[verb], data.objects[image.classes[end]]]
        rows.setdefault(kind, []).append((subject, end))
    found = np.zeros(
        len(rows), [(n, object) for n in ("id", "bboxhuman", "bboxobject", "connection", "invis")]
    )
    for place, (kind, pairs) in enumerate(sorted(rows.items())):
        people, things = (list(dict.fromkeys(pair[end] for pair in pairs)) for end in (0, 1))
        connection = [[people.index(subject) + 1, things.index(end) + 1] for subject, end in pairs]
        ends = (_corners(image.boxes[people]), _corners(image.boxes[things]))
        found[place] = (kind, *ends, np.array(connection, float).reshape(-1, 2), float(not pairs))
    return found


def _corners(boxes: np.ndarray) -> np.ndarray:
    table = np.round(boxes[:, [0, 2, 1, 3]] + 1, _DIGITS)
    return np.array([tuple(row) for row in table.tolist()], [(side, object) for side in _SIDES])
