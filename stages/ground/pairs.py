"""The candidates of a shard as arrays: boxes, classes, claims, and ranks within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.columns import encode, flatten
from relforge.stages.overlap import read_xywh


@dataclass(frozen=True)
class Alternatives:
    """One entry per candidate; boxes are x y w h in pixels.

    Args:
        subject, object: N x 4.
        size: N x 2, width and height of the image.
        claim: code of the claim, across images.
        subject_box, object_box: rows of the table of boxes.
        subject_class, object_class: names.
        subject_count, object_count: of things that the captions say: a number, 0 for several, -1 where it is
            not known.
        predicate: texts.
        support: how many captions state the claim.
        alternatives: pairs of the claim.
        image: place in `images`.
        images: ids.
    """

    subject: np.ndarray
    object: np.ndarray
    size: np.ndarray
    claim: np.ndarray
    subject_box: np.ndarray
    object_box: np.ndarray
    subject_class: np.ndarray
    object_class: np.ndarray
    subject_count: np.ndarray
    object_count: np.ndarray
    predicate: Sequence[str]
    support: np.ndarray
    alternatives: np.ndarray
    image: np.ndarray
    images: Sequence[str]

    def distance(self) -> np.ndarray:
        """Between the centres, over the sum of the roots of the areas; 0 where they coincide."""
        between = np.hypot(*(_centre(self.object) - _centre(self.subject)).T)
        return between / (_side(self.subject) + _side(self.object))


def read_alternatives(candidates: pa.Table, boxes: pa.Table, images: pa.Table) -> Alternatives:
    """Join the rows of `candidates` with their boxes and images.

    Raises:
        ValueError: a row names a box or an image that is not there.
    """
    names = pc.unique(flatten(images["image_id"]))
    image = encode(candidates["image_id"], names)
    if (image < 0).any():
        row = candidates["image_id"][int(np.flatnonzero(image < 0)[0])].as_py()
        raise ValueError(f"image {row} has candidates but no row in the images table")
    place = encode(names, flatten(images["image_id"]))
    size = np.stack([images[side].to_numpy().astype(float) for side in ("width", "height")], axis=1)
    box_image = encode(boxes["image_id"], names)
    span = (pc.max(boxes["box_id"]).as_py() or 0) + 1
    keys = box_image * span + boxes["box_id"].to_numpy()
    order = np.argsort(keys)
    rows = []
    for end in ("subject_box", "object_box"):
        wanted = image * span + candidates[end].to_numpy()
        at = np.searchsorted(keys[order], wanted)
        known = at < len(order)
        known[known] = keys[order][at[known]] == wanted[known]
        known &= candidates[end].to_numpy() < span
        if not known.all():
            first = candidates.slice(int(np.flatnonzero(~known)[0]), 1).to_pylist()[0]
            raise ValueError(f"image {first['image_id']}: {end} {first[end]} is not among its boxes")
        rows.append(order[at])
    xywh = read_xywh(boxes)
    category = boxes["category"].to_numpy(zero_copy_only=False)
    claims = candidates["claim_id"].to_numpy().astype(np.int64)
    counts = [pc.fill_null(candidates[f"{end}_count"], -1).to_numpy() for end in ("subject", "object")]
    return Alternatives(
        subject=xywh[rows[0]],
        object=xywh[rows[1]],
        size=size[place[image]],
        claim=image * (int(claims.max(initial=0)) + 1) + claims,
        subject_box=rows[0],
        object_box=rows[1],
        subject_class=category[rows[0]],
        object_class=category[rows[1]],
        subject_count=counts[0].astype(np.int64),
        object_count=counts[1].astype(np.int64),
        predicate=candidates["predicate"].to_pylist(),
        support=candidates["support"].to_numpy().astype(np.int64),
        alternatives=candidates["alternatives"].to_numpy().astype(np.int64),
        image=image,
        images=names.to_pylist(),
    )


def rank_within(groups: Sequence[np.ndarray], key: np.ndarray) -> np.ndarray:
    """Place, from 0, of every entry among those of its group by rising `key`; equal ones in their order."""
    count = len(key)
    order = np.lexsort((np.arange(count), key, *groups[::-1]))
    fresh = _fresh(groups, order)
    start = np.maximum.accumulate(np.where(fresh, np.arange(count), 0)) if count else np.zeros(0, np.int64)
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count) - start
    return rank


def count_within(groups: Sequence[np.ndarray]) -> np.ndarray:
    """How many entries the group of each has."""
    count = len(groups[0])
    order = np.lexsort(tuple(groups[::-1]))
    number = np.cumsum(_fresh(groups, order)) - 1
    found = np.empty(count, np.int64)
    found[order] = np.bincount(number)[number] if count else 0
    return found


def _fresh(groups: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    fresh = np.zeros(len(order), bool)
    fresh[:1] = True
    for group in groups:
        ordered = group[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    return fresh


def _centre(boxes: np.ndarray) -> np.ndarray:
    centre: np.ndarray = boxes[:, :2] + boxes[:, 2:] / 2
    return centre


def _side(boxes: np.ndarray) -> np.ndarray:
    side: np.ndarray = np.sqrt(boxes[:, 2] * boxes[:, 3])
    return side
