"""The three files of VG150 as arrays: who has which boxes and relations, in pixels.

From https://github.com/KaihuaTang/Scene-Graph-Benchmark.pytorch (DATASET.md), made by the converter of Xu et
al., "Scene Graph Generation by Iterative Message Passing" (CVPR 2017). On disk, for N objects, M relations
and I images:

    VG-SGG-with-attri.h5            boxes_1024 (N x 4: cx, cy, w, h at a longer side of 1024), labels (N x 1,
                                    from 1), img_to_first_box, img_to_last_box (I; the last one included, -1:
                                    none), relationships (M x 2, rows of boxes), predicates (M x 1, from 1),
                                    img_to_first_rel, img_to_last_rel (I), split (I; 0: train, 2: test)
    VG-SGG-dicts-with-attri.json    label_to_idx, predicate_to_idx (name -> number, from 1)
    image_data.json                 [{"image_id", "width", "height", ...}, ...]: without the ids of `CORRUPT`,
                                    entry i is row i of the HDF5 file
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from relforge.stages.contract import SourceError
from relforge.stages.ingest.json_stream import JsonStream, decode_any, open_source
from relforge.stages.ingest.values import as_integer, as_pixels, as_text

CORRUPT = frozenset({1592, 1722, 4616, 4617})
"""Images of Visual Genome that `image_data.json` lists and the HDF5 file has not."""

SIDE = 1024
"""Longer side of every image in the units of `boxes_1024`."""

ROUNDINGS = ("published", "exact")
_TRAIN, _TEST = 0, 2
_RANGES = ("img_to_first_box", "img_to_last_box", "img_to_first_rel", "img_to_last_rel")
_COLUMNS = {"boxes_1024": 4, "labels": 1, "relationships": 2, "predicates": 1, "split": 1}
_LARGEST = 2**31
"""More numbers than a data set of this kind can have."""


@dataclass(frozen=True)
class Vg150:
    """The files, not yet split.

    Args:
        records: I entries of `image_data.json`.
        classes, predicates: names by place; number k of the files is place k - 1.
        boxes: N x 4 float64 xywh in pixels of the images, not clipped.
        labels: N numbers from 1.
        box_first, box_last: I rows; the last one is included, -1: none.
        pairs: M x 2 rows of the boxes.
        relations: M numbers from 1.
        relation_first, relation_last: I rows.
        split: I.
    """

    records: list[dict[str, Any]]
    classes: list[str]
    predicates: list[str]
    boxes: np.ndarray
    labels: np.ndarray
    box_first: np.ndarray
    box_last: np.ndarray
    pairs: np.ndarray
    relations: np.ndarray
    relation_first: np.ndarray
    relation_last: np.ndarray
    split: np.ndarray

    def rows(self, split: str, val_images: int, keep_empty: bool = True) -> np.ndarray:
        """Rows of the images of a split, in file order.

        Args:
            split: `all`, `train`, `val` (the first `val_images` that are kept of the training rows) or
                `test`; any other name is that of all.
            val_images: how many; images without boxes are not counted.
            keep_empty: keep images without a relation, as published readers do not.
        """
        kept = np.ones(len(self.split), bool) if keep_empty else self.relation_first >= 0
        if split == "test":
            return np.flatnonzero(kept & (self.split == _TEST))
        if split not in ("train", "val"):
            return np.flatnonzero(kept)
        counted = kept & (self.box_first >= 0) & (self.split == _TRAIN)
        place = np.cumsum(counted)
        of_val = (place < val_images) | (counted & (place == val_images))
        return np.flatnonzero(kept & (self.split == _TRAIN) & (of_val == (split == "val")))


def read_vg150(annotations: str, dictionary: str, image_data: str, rounding: str = "published") -> Vg150:
    """Read the files.

    Args:
        annotations, dictionary, image_data: paths or URIs.
        rounding: one of `ROUNDINGS`, of the corner `cx - w / 2` where the file has integers: towards zero, as
            every published reader does by assigning into an integer array, or `exact`.

    Raises:
        SourceError: a file that is not there or of another form, or files that do not belong together.
    """
    arrays = _read_arrays(annotations)
    classes, predicates = read_names(dictionary)
    records = _read_records(image_data)
    count = len(arrays["split"])
    if len(records) != count:
        raise SourceError(
            f"{annotations} has {count:,} images and {image_data} lists {len(records):,} beside the "
            f"{len(CORRUPT)} corrupt ones; take the two that come together"
        )
    sizes = np.array([(as_pixels(r.get("width")), as_pixels(r.get("height"))) for r in records], float)
    owner = _owners(arrays["img_to_first_box"], arrays["img_to_last_box"], len(arrays["boxes_1024"]))
    longer = sizes.reshape(-1, 2).max(1, initial=0)
    scale = np.append(longer, 0.0)[owner] / SIDE
    return Vg150(
        records,
        classes,
        predicates,
        _pixels(arrays["boxes_1024"], scale, rounding == "published"),
        arrays["labels"],
        arrays["img_to_first_box"],
        arrays["img_to_last_box"],
        arrays["relationships"],
        arrays["predicates"],
        arrays["img_to_first_rel"],
        arrays["img_to_last_rel"],
        arrays["split"],
    )


def _pixels(boxes: np.ndarray, scale: np.ndarray, truncate: bool) -> np.ndarray:
    """N x 4 xywh in pixels from centres and sides of boxes in units of `scale` pixels."""
    sides = boxes[:, 2:].astype(np.float64)
    with np.errstate(all="ignore"):
        corners = boxes[:, :2] - sides / 2
        if truncate and boxes.dtype.kind == "i":
            corners = np.trunc(corners)
        # a multiple of 1/1024 pixel has ten decimals; what is behind them is left over from the arithmetic
        found: np.ndarray = np.round(np.concatenate([corners, sides], 1) * scale[:, None], 10)
    return found


def _owners(first: np.ndarray, last: np.ndarray, count: int) -> np.ndarray:
    """Image of every row; -1 for rows of none."""
    owner = np.full(count, -1)
    for image in np.flatnonzero(first >= 0).tolist():
        owner[first[image] : last[image] + 1] = image
    return owner


def _read_arrays(path: str) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ImportError as error:
        raise SourceError(
            f"{path}: HDF5 files need the package h5py; install it with `pip install 'relforge[vg150]'`"
        ) from error
    with open_source(path) as file:
        try:
            with h5py.File(file, "r") as content:
                missing = [name for name in (*_COLUMNS, *_RANGES) if name not in content]
                if missing:
                    raise SourceError(f"{path}: no data set {missing[0]!r}; is it VG-SGG-with-attri.h5?")
                arrays = {name: _read_array(path, content, name) for name in (*_COLUMNS, *_RANGES)}
        except SourceError:
            raise
        except Exception as error:  # h5py raises whatever HDF5 stumbles over
            raise SourceError(f"{path}: cannot be read as HDF5 ({_one_line(error)})") from error
    _check_lengths(path, arrays)
    return arrays


def _read_array(path: str, content: Any, name: str) -> np.ndarray:
    data = content[name]
    kinds = "iuf" if name == "boxes_1024" else "iu"
    if getattr(getattr(data, "dtype", None), "kind", "") not in kinds or _size(data.shape) > _LARGEST:
        raise SourceError(f"{path}: {name!r} is no array of numbers")
    array: np.ndarray = data[()]
    columns = _COLUMNS.get(name, 0)
    shape = array.shape[:1] + ((columns,) if columns > 1 else ())
    if not array.ndim or array.size != _size(shape):
        raise SourceError(
            f"{path}: {name!r} has the shape {array.shape}; {columns or 1} to a row are expected"
        )
    array = array.reshape(shape)
    return array if array.dtype.kind == "f" else array.astype(np.int64)


def _size(shape: Sequence[int]) -> float:
    return float(np.prod(shape, dtype=float))


def _check_lengths(path: str, arrays: dict[str, np.ndarray]) -> None:
    kinds = {
        "boxes_1024": "labels",
        "labels": "labels",
        "relationships": "predicates",
        "predicates": "predicates",
    }
    for name, array in arrays.items():
        as_long = kinds.get(name, "split")
        if len(array) != len(arrays[as_long]):
            raise SourceError(
                f"{path}: {name!r} has {len(array):,} rows and {as_long!r} {len(arrays[as_long]):,}; they "
                "belong together"
            )
    for names, rows in ((_RANGES[:2], "labels"), (_RANGES[2:], "predicates")):
        first, last = (arrays[name] for name in names)
        wrong = (first >= 0) & ((last < first - 1) | (last >= len(arrays[rows])))
        if wrong.any():
            image = int(np.flatnonzero(wrong)[0])
            raise SourceError(
                f"{path}: {names[0]!r} and {names[1]!r} give image {image} the rows {first[image]} to "
                f"{last[image]}, of {len(arrays[rows]):,}"
            )


def read_names(path: str) -> tuple[list[str], list[str]]:
    """Classes and predicates of `VG-SGG-dicts-with-attri.json`, by place.

    Raises:
        SourceError: it is not there, or of another form.
    """
    document = _read_object(path)
    return _names(path, document, "label_to_idx"), _names(path, document, "predicate_to_idx")


def _names(path: str, document: dict[str, Any], key: str) -> list[str]:
    given = document.get(key)
    if not isinstance(given, dict):
        raise SourceError(f"{path}: {key!r} is missing; is it VG-SGG-dicts-with-attri.json?")
    names: dict[int, str] = {}
    for name, value in given.items():
        number = as_integer(value)
        if as_text(name) is None or number is None or number in names:
            raise SourceError(f"{path}: {key}: {name!r:.80} has the number {value!r:.40}, which cannot be")
        names[number] = name
    if sorted(names) != list(range(1, len(names) + 1)):
        raise SourceError(f"{path}: {key}: the numbers are not 1 to {len(names)}")
    return [names[number] for number in sorted(names)]


def _read_object(path: str) -> dict[str, Any]:
    with open_source(path) as file:
        text = file.read()
    try:
        (document,) = decode_any(b"[" + text.removeprefix(b"\xef\xbb\xbf") + b"]")
    except ValueError as error:
        raise SourceError(f"{path}: cannot be read as JSON ({_one_line(error)})") from error
    if not isinstance(document, dict):
        raise SourceError(f"{path}: expected a JSON object, found {document!r:.40}")
    return document


def _read_records(path: str) -> list[dict[str, Any]]:
    with open_source(path) as file:
        stream = JsonStream(file, path)
        if not stream.is_array():
            raise SourceError(f"{path}: expected a JSON list of images; is it image_data.json?")
        found = list(chain.from_iterable(stream.elements(decode_any)))
        stream.end()
    records = [record if isinstance(record, dict) else {} for record in found]
    return [record for record in records if as_integer(record.get("image_id")) not in CORRUPT]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def local_rows(first: int, last: int) -> Sequence[int]:
    """Rows of an image; none where `first` is -1."""
    return range(first, last + 1) if first >= 0 else range(0)
