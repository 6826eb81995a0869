"""VG150's three files, which published scene-graph trainers and evaluators read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.stages.closed_labels import ClosedLabels, load_labels
from relforge.stages.export.scenes import Scene, as_number_or_text, read_scenes
from relforge.stages.ingest.vg150_file import CORRUPT, SIDE

FILES = ("VG-SGG-with-attri.h5", "VG-SGG-dicts-with-attri.json", "image_data.json")
_ATTRIBUTES = 10


def write(
    tables: Iterable[Mapping[str, pa.Table]],
    path: Path,
    labels: str = "",
    test: float | None = None,
    file_names: bool = False,
) -> dict[str, int]:
    """A folder with `VG-SGG-with-attri.h5`, `VG-SGG-dicts-with-attri.json` and `image_data.json`.

    Boxes are rounded to 1/1024 of the longer side, so that published readers, which truncate corners, give
    them back; scores have no place. Images that share an id with Visual Genome's corrupt ones, which every
    reader leaves out, are counted as `left_out_images`.

    Args:
        labels: a closed label list (`vg150`, `open_images`, or the path of one). Classes and predicates are
            spelt as it does, and numbered by it; what it does not have is counted as `left_out_boxes` and
            `left_out`. Without it every name gets a number, in alphabetical order.
        test: share of the images, the last in the file, that are the test split; by default those whose
            split is `test`.
        file_names: write `file_name` too, where it is known; published readers go by the id.

    Raises:
        ValueError: h5py is missing, an unknown list, or a share that is none.
    """
    try:
        import h5py
    except ImportError as error:
        raise ValueError(
            "vg150 needs the package h5py; install it with `pip install 'relforge[vg150]'`"
        ) from error
    if test is not None and not 0 <= test <= 1:
        raise ValueError(f"test: {test} is no share of the images; give 0 to 1")
    content = _Content(load_labels(labels) if labels else None)
    for shard in tables:
        content.list_classes(shard.get("classes"))
        for scene in read_scenes(shard, content.counts, repeats=True):
            content.add(scene, file_names)
    path.mkdir()
    arrays, names = content.arrays(test)
    with h5py.File(path / FILES[0], "w") as file:
        for name, array in arrays.items():
            file[name] = array
    (path / FILES[1]).write_text(json.dumps(names, ensure_ascii=False))
    (path / FILES[2]).write_text(json.dumps(content.records, ensure_ascii=False))
    return dict(content.counts)


class _Content:
    """What goes into the files, as it comes."""

    def __init__(self, labels: ClosedLabels | None) -> None:
        self.counts = Counter(images=0, boxes=0, relations=0)
        self.records: list[dict[str, Any]] = []
        self._labels = labels
        self._listed: set[str] = set()
        self._tests: list[bool] = []
        self._boxes: list[tuple[float, ...]] = []
        self._categories: list[str] = []
        self._pairs: list[tuple[int, int]] = []
        self._predicates: list[str] = []
        self._box_ends: list[int] = []
        self._relation_ends: list[int] = []

    def list_classes(self, classes: pa.Table | None) -> None:
        """Names that the source lists, with or without boxes, so that two splits have the same numbers."""
        self._listed.update(classes["category"].to_pylist() if classes is not None else ())

    def add(self, scene: Scene, file_names: bool) -> None:
        """One image."""
        image = scene.image
        number = as_number_or_text(image["image_id"])
        if number in CORRUPT:
            self.counts["left_out_images"] += 1
            return
        record = {"image_id": number, "width": image["width"], "height": image["height"]}
        if file_names and scene.file_name is not None:
            record["file_name"] = scene.file_name
        self.records.append(record)
        self._tests.append(image["split"] == "test")
        scale = SIDE / max(image["width"], image["height"])
        rows: dict[int, int] = {}
        for box in scene.boxes:
            name = self._labels.class_name(box["category"]) if self._labels else box["category"]
            if name is None:
                self.counts["left_out_boxes"] += 1
                continue
            rows[box["box_id"]] = len(self._boxes)
            self._boxes.append(tuple(box[side] * scale for side in "xywh"))
            self._categories.append(name)
        for relation in scene.relations:
            predicate = relation["predicate"]
            name = self._labels.predicate_name(predicate) if self._labels else predicate
            ends = [rows.get(relation[f"{end}_box"]) for end in ("subject", "object")]
            if name is None or ends[0] is None or ends[1] is None:
                self.counts["left_out"] += 1
                continue
            self._pairs.append((ends[0], ends[1]))
            self._predicates.append(name)
        self._box_ends.append(len(self._boxes))
        self._relation_ends.append(len(self._pairs))
        self.counts["images"] += 1
        self.counts["boxes"], self.counts["relations"] = len(self._boxes), len(self._pairs)

    def arrays(self, test: float | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The data sets of the HDF5 file, and the dictionary."""
        labels = self._labels
        classes = (labels and labels.classes) or sorted(self._listed | set(self._categories))
        predicates = labels.predicates if labels else sorted(set(self._predicates))
        units = np.array(self._boxes, float).reshape(-1, 4)
        tests = np.array(self._tests, bool)
        if test is not None:
            tests = np.arange(len(tests)) >= round(len(tests) * (1 - test))
        arrays = {
            "boxes_1024": _centred(units, SIDE),
            "boxes_512": _centred(units / 2, SIDE // 2),
            "labels": _numbers(self._categories, classes),
            "attributes": np.zeros((len(units), _ATTRIBUTES), np.int64),
            "relationships": np.array(self._pairs, np.int32).reshape(-1, 2),
            "predicates": _numbers(self._predicates, predicates),
            "split": np.where(tests, 2, 0).astype(np.int32),
        }
        for of, ends in (("box", self._box_ends), ("rel", self._relation_ends)):
            counts = np.diff([0, *ends])
            first = np.where(counts > 0, np.array(ends, np.int64) - counts, -1)
            last = np.where(counts > 0, np.array(ends, np.int64) - 1, -1)
            arrays |= {
                f"img_to_first_{of}": first.astype(np.int32),
                f"img_to_last_{of}": last.astype(np.int32),
            }
        names: dict[str, Any] = {}
        counted = {"label": ("object", classes, self._categories)}
        counted |= {
            "predicate": ("predicate", predicates, self._predicates),
            "attribute": ("attribute", [], []),
        }
        for key, (kind, listed, used) in counted.items():
            numbers = {name: number for number, name in enumerate(listed, 1)}
            names[f"{key}_to_idx"] = numbers
            names[f"idx_to_{key}"] = {str(number): name for name, number in numbers.items()}
            totals = Counter(used)
            names[f"{kind}_count"] = {name: totals[name] for name in listed}
        return arrays, names


def _numbers(names: Sequence[str], listed: Sequence[str]) -> np.ndarray:
    """N x 1, from 1."""
    numbers = {name: number for number, name in enumerate(listed, 1)}
    return np.array([numbers[name] for name in names], np.int64).reshape(-1, 1)


def _centred(units: np.ndarray, side: int) -> np.ndarray:
    """N x 4 int32 cx, cy, w, h of which readers get the rounded corners back, at least one unit wide.

    Readers take the corner to be `trunc(cx - w / 2)`, so that an odd side needs the larger half.
    """
    low = np.clip(np.round(units[:, :2]), 0, side - 1)
    high = np.clip(np.round(units[:, :2] + units[:, 2:]), low + 1, side)
    sides = high - low
    return np.concatenate([low + np.ceil(sides / 2), sides], 1).astype(np.int32)
