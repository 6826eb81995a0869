"""Which pairs of a claim count as meant while no one has told: the best, as many as its words say."""

from __future__ import annotations

import numpy as np

from relforge.stages.ground.pairs import Alternatives

_SEVERAL = 3
"""Pairs of a plural at most: "some people on a beach" are not all meant."""


def mark(pairs: Alternatives, score: np.ndarray) -> np.ndarray:
    """The pairs that claims mean, if the best scored are meant.

    "Two men" take two pairs of different subjects, a plural one to one; all else one pair.

    Args:
        score: of every pair, larger is likelier.

    Returns:
        bool of every pair.
    """
    marked = np.zeros(len(score), bool)
    order = np.lexsort((np.arange(len(score)), -score, pairs.claim))
    starts = np.flatnonzero(np.diff(pairs.claim[order], prepend=-1))
    marked[order[starts]] = True
    plural = (pairs.subject_count != 1) & (pairs.subject_count != -1)
    plural |= (pairs.object_count != 1) & (pairs.object_count != -1)
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        if plural[order[start]] and end - start > 1:
            _mark_several(pairs, order[start:end], marked)
    return marked


def _mark_several(pairs: Alternatives, rows: np.ndarray, marked: np.ndarray) -> None:
    """Mark more pairs of one claim, whose rows come best first."""
    said = [int(pairs.subject_count[rows[0]]), int(pairs.object_count[rows[0]])]
    limit = max(_SEVERAL if one == 0 else max(one, 1) for one in said)
    used: tuple[set[int], set[int]] = set(), set()
    for row in rows.tolist():
        ends = int(pairs.subject_box[row]), int(pairs.object_box[row])
        if any(one != 1 and end in own for one, end, own in zip(said, ends, used, strict=True)):
            continue
        for end, own in zip(ends, used, strict=True):
            own.add(end)
        marked[row] = True
        limit -= 1
        if not limit:
            return
