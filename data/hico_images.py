"""HICO's labels of whole images (not HICO-DET's boxes), from either file that people have.

* `anno.mat` of hico_20150920 (https://www-personal.umich.edu/~ywchao/hico/): `anno_train`, `anno_test`
  (interactions x images; 1 shown, 0 ambiguous, -1 not shown, NaN unlabelled), `list_train`, `list_test` (file
  names), `list_action` (structs with `nname`, the object, and `vname`, the verb).
* JSON of the same, named as in DEFR's release: `hoi_list` ([verb, object] each), `files_train`, `files_test`,
  `anno_train`, `anno_test`; null is unlabelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from relforge.data.hoi_json import load_json
from relforge.stages.image_labels.table import AMBIGUOUS, NEGATIVE, POSITIVE, UNLABELLED
from relforge.stages.interactions import Interactions

STATES = (POSITIVE, AMBIGUOUS, NEGATIVE, UNLABELLED)


@dataclass(frozen=True)
class HicoImages:
    """Args:
    files: N names, as the file has them.
    interactions: C of (verb, object).
    states: N x C int8: 1, 0, -1 or -2.
    """

    files: list[str]
    interactions: Interactions
    states: np.ndarray

    @property
    def image_ids(self) -> list[str]:
        """File names without folder and suffix."""
        return [PurePosixPath(name).stem for name in self.files]


def read_hico_images(path: str, split: str = "test") -> HicoImages:
    """Read one split.

    Args:
        split: `train` or `test`.

    Raises:
        ValueError: the file has no such split, parts of different sizes, or a label that there is not.
        OSError: it cannot be read.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split: {split!r}; choose train or test")
    reader = _read_mat if path.endswith(".mat") else _read_json
    try:
        files, pairs, labels = reader(path, split)
        values = np.array(labels, dtype=float)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path}: no HICO annotation of the split {split} (anno_{split} with its lists): {error!r}"
        ) from error
    values = np.where(np.isnan(values), UNLABELLED, values)
    if values.shape != (len(pairs), len(files)):
        raise ValueError(
            f"{path}: anno_{split} is {values.shape}, its lists name {len(pairs)} interactions and "
            f"{len(files)} images"
        )
    if not np.isin(values, STATES).all():
        wrong = values[~np.isin(values, STATES)][0]
        raise ValueError(f"{path}: anno_{split} has the label {wrong:g}; labels are 1, 0, -1 and none")
    if len(set(pairs)) != len(pairs) or not len(files):
        raise ValueError(f"{path}: an interaction is listed twice, or no image of the split {split}")
    return HicoImages(files, tuple(pairs), np.ascontiguousarray(values.T.astype(np.int8)))


def _read_mat(path: str, split: str) -> tuple[list[str], list[tuple[str, str]], Any]:
    from scipy.io import loadmat

    try:
        content = loadmat(path, struct_as_record=False, squeeze_me=True)
    except NotImplementedError as error:  # a version that only HDF5 readers know
        raise ValueError(str(error)) from error
    actions = np.atleast_1d(content["list_action"])
    pairs = [(_words(one.vname), _words(one.nname)) for one in actions]
    files = [str(name) for name in np.atleast_1d(content[f"list_{split}"])]
    return files, pairs, np.asarray(content[f"anno_{split}"], float).reshape(len(pairs), len(files))


def _read_json(path: str, split: str) -> tuple[list[str], list[tuple[str, str]], Any]:
    content = load_json(path)
    pairs = [(_words(verb), _words(object_)) for verb, object_ in content["hoi_list"]]
    files = [str(name) for name in content[f"files_{split}"]]
    rows = [[np.nan if label is None else label for label in row] for row in content[f"anno_{split}"]]
    return files, pairs, rows


def _words(name: Any) -> str:
    """Our spelling: `no_interaction` is "no interaction"."""
    return str(name).replace("_", " ")
