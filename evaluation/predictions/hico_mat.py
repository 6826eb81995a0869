"""Detections as HICO-DET's own evaluation reads them: `detections_01.mat` to `detections_80.mat` in a folder.

Each holds `all_boxes`, a cell for every interaction of that object and every test image, with rows (person's
x1, y1, x2, y2, object's x1, y1, x2, y2, score); corners count from 0, as ywchao/ho-rcnn expects them. Files
carry neither the names of
the images nor those of the interactions: the order is that of the annotation and of HICO-DET's lists.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.data import hico
from relforge.evaluation.annotated import PERSON, image_id
from relforge.evaluation.predictions.table import as_rows, corners, of_columns


def write(table: pa.Table, path: Path, annotations: str) -> Counter[str]:
    """Write a folder.

    Args:
        annotations: the test annotation, for the order of the images.

    Returns:
        What is left out: `unknown_image`, and `no_hico_interaction`, kinds that are not among the 600.

    Raises:
        ValueError, OSError: the annotation cannot be read.
    """
    from scipy.io import savemat

    table = as_rows(table)
    images = _images(annotations)
    kind, image = _kinds(table), _codes(table["image_id"], images)
    values = np.concatenate(
        [corners(table, "subject"), corners(table, "object"), table["score"].to_numpy()[:, None]], 1
    )
    left_out = Counter(unknown_image=int((image < 0).sum()))
    left_out["no_hico_interaction"] = int(((image >= 0) & (kind < 0)).sum())
    kept = np.flatnonzero((image >= 0) & (kind >= 0))
    kept = kept[np.lexsort((image[kept], kind[kept]))]
    path.mkdir()
    for number, kinds in enumerate(_kinds_of_objects(), 1):
        cells = np.empty((len(kinds), len(images)), object)
        blank = np.zeros((0, 9))
        for row, one in enumerate(kinds):
            cells[row] = [blank] * len(images)
            first, last = np.searchsorted(kind[kept], [one, one + 1])
            own = kept[first:last]
            places, starts = np.unique(image[own], return_index=True)
            for place, start, end in zip(places, starts, [*starts[1:], len(own)][: len(starts)], strict=True):
                cells[row, place] = values[own[start:end]]
        with (path / f"detections_{number:02d}.mat").open("wb") as file:
            savemat(file, {"all_boxes": cells}, do_compression=True)
    return left_out


def read(path: str, annotations: str) -> pa.Table:
    """Read a folder; arguments as in `write`.

    Raises:
        ValueError: a file is missing or of another form.
    """
    from scipy.io import loadmat

    images, interactions = _images(annotations), hico.interactions()
    names: list[tuple[str, str, str]] = []
    parts = [np.zeros((0, 9))]
    for number, kinds in enumerate(_kinds_of_objects(), 1):
        file = Path(path) / f"detections_{number:02d}.mat"
        try:
            cells = loadmat(file)["all_boxes"]
        except (OSError, ValueError, KeyError, NotImplementedError) as error:
            raise ValueError(f"{file} holds no all_boxes: {error}") from error
        if cells.shape != (len(kinds), len(images)):
            raise ValueError(
                f"{file}: all_boxes is {cells.shape}, not {len(kinds)} interactions x {len(images)} images"
            )
        for row, one in enumerate(kinds):
            for place, rows in enumerate(cells[row]):
                if rows.size:
                    names += [(images[place], *interactions[one])] * len(rows)
                    parts.append(rows.reshape(-1, 9))
    values = np.concatenate(parts)
    image, predicate, object_ = ([one[k] for one in names] for k in range(3))
    return of_columns(image, [PERSON] * len(image), predicate, list(object_), values[:, :8], values[:, 8])


def _images(annotations: str) -> list[str]:
    return [image_id(image.file_name) for image in hico.read_hico(annotations, "test").images]


def _kinds_of_objects() -> list[list[int]]:
    """Places of every object's interactions among the 600; objects in alphabetic order, as upt and pvic
    number the files."""
    found: dict[str, list[int]] = {}
    for place, (_, name) in enumerate(hico.interactions()):
        found.setdefault(name, []).append(place)
    return [found[name] for name in sorted(found, key=lambda name: name.replace(" ", "_"))]


def _kinds(table: pa.Table) -> np.ndarray:
    """Place of every row among the 600; -1 elsewhere."""
    place = {pair: number for number, pair in enumerate(hico.interactions())}
    rows = zip(*(table[name].to_pylist() for name in ("subject", "predicate", "object")), strict=True)
    return np.array([place.get(row[1:], -1) if row[0] == PERSON else -1 for row in rows], np.int64)


def _codes(column: pa.ChunkedArray, names: list[str]) -> np.ndarray:
    found = pc.index_in(column, pa.array(names, pa.string()))
    codes: np.ndarray = pc.fill_null(found, -1).to_numpy()
    return codes
