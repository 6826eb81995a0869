"""The overlap prior: a relation is more likely between boxes that touch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.columns import encode


def read_xywh(boxes: pa.Table) -> np.ndarray:
    """x, y, w, h of every row.

    Returns:
        float64 array, rows x 4, pixels.
    """
    return np.stack([boxes[name].to_numpy() for name in ("x", "y", "w", "h")], axis=1)


def do_overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether boxes overlap, row by row; touching edges do not count (published strict test).

    Args:
        first, second: N x 4, x y w h, the same unit.

    Returns:
        bool array of N: 2 |dcx| < w1 + w2, and the same for y.
    """
    centre = np.abs((first[:, :2] + first[:, 2:] / 2) - (second[:, :2] + second[:, 2:] / 2))
    return np.all(2 * centre < first[:, 2:] + second[:, 2:], axis=1)


def pairs_overlap(pairs: pa.Table, boxes: pa.Table) -> np.ndarray:
    """Whether the two boxes of each (image_id, subject_box, object_box) row overlap.

    Raises:
        ValueError: a row names a box that is not in `boxes`.
    """
    images = pc.unique(boxes["image_id"])
    span = (pc.max(boxes["box_id"]).as_py() or 0) + 1
    box_keys = encode(boxes["image_id"], images) * span + boxes["box_id"].to_numpy()
    order = np.argsort(box_keys)
    xywh = read_xywh(boxes)[order]
    image = encode(pairs["image_id"], images)
    found = []
    for end in ("subject_box", "object_box"):
        key = image * span + pairs[end].to_numpy()
        at = np.searchsorted(box_keys[order], key)
        known = (at < len(order)) & (image >= 0)
        known[known] = box_keys[order][at[known]] == key[known]
        if not known.all():
            row = pairs.slice(int(np.flatnonzero(~known)[0]), 1).to_pylist()[0]
            raise ValueError(f"image {row['image_id']}: {end} {row[end]} is not among its boxes")
        found.append(xywh[at])
    return do_overlap(*found)
