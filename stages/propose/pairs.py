"""Every pair of an image's boxes as arrays, some images at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from relforge.stages.columns import encode, flatten
from relforge.stages.ground.pairs import Alternatives, rank_within
from relforge.stages.overlap import read_xywh

_BLOCK = 100_000
"""Pairs at a time, unless one image has more."""


def list_pairs(images: pa.Table, boxes: pa.Table, max_boxes: int) -> Iterator[Alternatives]:
    """Ordered pairs of different boxes, in the order of the images and of the ids of their boxes.

    Crowds and boxes without an area take no part. A claim is the pairs of an image that have the same two
    classes, as if a caption had named both.

    Args:
        images, boxes: of whole images.
        max_boxes: boxes of an image at most, the largest.
    """
    names = flatten(images["image_id"])
    image, xywh, box_id = encode(boxes["image_id"], names), read_xywh(boxes), boxes["box_id"].to_numpy()
    usable = (image >= 0) & (xywh[:, 2:] > 0).all(1) & ~boxes["iscrowd"].to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(usable)
    rows = rows[rank_within((image[rows],), -xywh[rows, 2] * xywh[rows, 3]) < max_boxes]
    rows = rows[np.lexsort((box_id[rows], image[rows]))]
    category = boxes["category"].to_numpy(zero_copy_only=False)
    classes, code = np.unique(category.astype(str), return_inverse=True)
    size = np.stack([images[side].to_numpy().astype(float) for side in ("width", "height")], axis=1)
    count = np.bincount(image[rows], minlength=len(names))
    first = np.cumsum(count) - count
    block = (np.cumsum(count * (count - 1)) - 1) // _BLOCK
    for number in np.unique(block[count > 1]):
        own = np.flatnonzero((block == number)[image[rows]])
        each = count[image[rows[own]]]
        left = np.repeat(own, each)
        within = np.arange(len(left)) - np.repeat(np.cumsum(each) - each, each)
        right = np.repeat(first[image[rows[own]]], each) + within
        apart = left != right
        subject, object_ = rows[left[apart]], rows[right[apart]]
        nothing = np.zeros(len(subject), np.int64)
        span = len(classes)
        yield Alternatives(
            subject=xywh[subject],
            object=xywh[object_],
            size=size[image[subject]],
            claim=(image[subject] * span + code[subject]) * span + code[object_],
            subject_box=subject,
            object_box=object_,
            subject_class=category[subject],
            object_class=category[object_],
            subject_count=nothing - 1,
            object_count=nothing - 1,
            predicate=[""] * len(subject),
            support=nothing,
            alternatives=nothing + 1,
            image=image[subject],
            images=names.to_pylist(),
        )
