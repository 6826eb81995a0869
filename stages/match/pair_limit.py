"""How many boxes of either class a claim may pair, so that no image gives more pairs than the limit.

1,200 boxes of one class are 1.4 million ordered pairs for every predicate that a caption states of them.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

MAX_PAIRS = 100_000
"""Pairs of an image by default: those of 316 boxes of one class."""


def limit_claims(
    image: np.ndarray, order: np.ndarray, subjects: np.ndarray, objects: np.ndarray, limit: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """How many boxes of its two classes each claim may pair.

    Where an image's claims would give more than `limit` pairs, small claims are left whole and the others
    share the rest evenly. What a claim may do depends on its own image alone.

    Args:
        image: of each claim.
        order: of each claim in its image; decides which of equal claims comes first.
        subjects, objects: boxes of its two classes in the image.
        limit: pairs of an image, a box with itself included; None: all.

    Returns:
        the numbers, at most those given.
    """
    subjects, objects = subjects.astype(np.int64), objects.astype(np.int64)
    if limit is None:
        return subjects, objects
    sizes = subjects * objects
    totals = np.bincount(image, weights=sizes) if len(image) else np.zeros(0)
    subjects, objects = subjects.copy(), objects.copy()
    for crowded in np.flatnonzero(totals > limit):
        claims = np.flatnonzero((image == crowded) & (sizes > 0))
        claims = claims[np.lexsort((order[claims], sizes[claims]))]
        left = limit
        for done, claim in enumerate(claims.tolist()):
            share = left // (len(claims) - done)
            subjects[claim], objects[claim] = _fit(int(subjects[claim]), int(objects[claim]), share)
            left -= int(subjects[claim] * objects[claim])
    return subjects, objects


def rank_by_area(image: np.ndarray, category: np.ndarray, xywh: np.ndarray) -> np.ndarray:
    """Rows of a `BoxIndex` with the largest boxes of each (image, class) first, equal ones by box id."""
    return np.lexsort((-(xywh[:, 2] * xywh[:, 3]), category, image))


def _fit(subjects: int, objects: int, share: int) -> tuple[int, int]:
    """The most even numbers of boxes whose product is within the share."""
    if subjects * objects <= share:
        return subjects, objects
    if share < 1:
        return 0, 0
    first = min(subjects, isqrt(share))
    objects = min(objects, share // first)
    return min(subjects, share // objects), objects
