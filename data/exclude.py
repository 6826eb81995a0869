"""Lists of images that training and export leave out: `relforge audit --write` makes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from relforge.data.hoi_json import load_json
from relforge.data.relations import RelationData, take


def read_excluded(path: str) -> frozenset[str]:
    """Image ids of `{"images": [...]}`, or of a list alone.

    Raises:
        ValueError: the file is another one.
        OSError: it cannot be read.
    """
    content = load_json(path)
    ids = content.get("images") if isinstance(content, dict) else content
    if not isinstance(ids, list) or not all(isinstance(one, str | int) for one in ids):
        raise ValueError(f"{path}: expected {{images: [id, ...]}}, as relforge audit --write makes it")
    return frozenset(str(one) for one in ids)


def without_images(data: RelationData, path: str) -> RelationData:
    """The training set without the images that a list names; how many is among its reasons.

    Raises:
        ValueError: the list is another file, is of another set, or leaves nothing.
        OSError: it cannot be read.
    """
    if not isinstance(path, str):
        raise ValueError(f"data: exclude: expected the file of a list, found {path!r}")
    ids = read_excluded(path)
    out = np.array([one in ids for one in data.images["image_id"].to_pylist()], bool)
    if ids and not out.any():
        raise ValueError(
            f"data: exclude: no image of {Path(path).name} is in the data; it is a list of another set"
        )
    if out.all():
        raise ValueError(f"data: exclude: {Path(path).name} names every image of the data")
    reasons = data.reasons + Counter({"excluded images": int(out.sum())})
    return replace(take(data, np.flatnonzero(~out)), reasons=reasons)
