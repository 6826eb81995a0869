"""From ranked detections to right ones: candidates, assignment to the gold, average precision.

All functions work on whole columns, so that a million detections take seconds. Keys are integers that two
rows share where they may match, for instance image times kind.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Curve = Callable[[np.ndarray, int], float]
"""(whether each ranked detection is right, number of gold rows) -> average precision."""


def candidates(detection_key: np.ndarray, gold_key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All (detection, gold) rows with equal keys, by detection and then by gold row.

    Args:
        detection_key: n integers; negative ones match nothing.
        gold_key: m integers.
    """
    order = np.argsort(gold_key, kind="stable")
    ranked = gold_key[order]
    rows = np.flatnonzero((detection_key >= 0) & np.isin(detection_key, ranked))
    first = np.searchsorted(ranked, detection_key[rows], "left")
    counts = np.searchsorted(ranked, detection_key[rows], "right") - first
    starts = np.cumsum(counts) - counts
    places = np.arange(counts.sum()) - np.repeat(starts, counts) + np.repeat(first, counts)
    return np.repeat(rows, counts), order[places]


def best_gold(detection: np.ndarray, gold: np.ndarray, overlap: np.ndarray) -> tuple[np.ndarray, ...]:
    """For every distinct detection the gold row that it overlaps best, the first of equals.

    Args:
        detection, gold: k rows, as `candidates` gives them.
        overlap: k.

    Returns:
        Detections, their gold rows and overlaps.
    """
    if not len(detection):
        return detection, gold, overlap
    starts = np.flatnonzero(np.append(True, detection[1:] != detection[:-1]))
    best = np.maximum.reduceat(overlap, starts)
    group = np.cumsum(np.append(False, detection[1:] != detection[:-1]))
    place = np.where(overlap == best[group], np.arange(len(overlap)), len(overlap))
    chosen = np.minimum.reduceat(place, starts)
    return detection[starts], gold[chosen], best


def first_claims(gold: np.ndarray) -> np.ndarray:
    """Whether each row is the first to claim its gold row; -1 claims nothing."""
    right = np.zeros(len(gold), bool)
    rows = np.flatnonzero(gold >= 0)
    right[rows[np.unique(gold[rows], return_index=True)[1]]] = True
    return right


def first_free(detection: np.ndarray, gold: np.ndarray, rank: np.ndarray, count: int) -> np.ndarray:
    """Each detection, by rank, takes the first fitting gold row that is free (GGNet, PPDM).

    Args:
        detection, gold: fitting rows, as `candidates` gives them.
        rank: of every detection; the smallest chooses first.
        count: how many detections there are.
    """
    right = np.zeros(count, bool)
    order = np.lexsort((np.arange(len(detection)), rank[detection]))
    taken: set[int] = set()
    for row, wanted in zip(detection[order].tolist(), gold[order].tolist(), strict=True):
        if not right[row] and wanted not in taken:
            taken.add(wanted)
            right[row] = True
    return right


def average_precisions(
    group: np.ndarray, correct: np.ndarray, positives: np.ndarray, curve: Curve
) -> np.ndarray:
    """Average precision of every group; 0 for one without detections or gold.

    Args:
        group: n numbers within [0, G), each group's detections by falling score.
        correct: n.
        positives: G gold rows.
    """
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(len(positives) + 1))
    ranked = correct[order]
    return np.array(
        [
            curve(ranked[first:last], int(count)) if count and last > first else 0.0
            for first, last, count in zip(bounds[:-1], bounds[1:], positives, strict=True)
        ],
        float,
    )


_STEPS = np.arange(11)
_RECALLS = _STEPS * 0.1
_RECALLS_BOTH_ENDS = np.where(_STEPS < 5, _RECALLS, 1 - _STEPS[::-1] * 0.1)


def eleven_point(correct: np.ndarray, positives: int) -> float:
    """Mean of the best precision at recalls 0, 0.1, ..., 1 (PASCAL VOC 2007).

    Recalls are multiples of 0.1 in floating point, as in the published loops: 3 of 10 right is below
    3 * 0.1.
    """
    return _best_precision_at(_RECALLS, correct, positives)


def eleven_point_both_ends(correct: np.ndarray, positives: int) -> float:
    """As `eleven_point`, with recalls from 0.5 on computed from 1 down, as torch.linspace does (pocket)."""
    return _best_precision_at(_RECALLS_BOTH_ENDS, correct, positives)


def _best_precision_at(recalls: np.ndarray, correct: np.ndarray, positives: int) -> float:
    if not len(correct):
        return 0.0
    recall, best = _curve(correct, positives)
    first = np.searchsorted(recall, recalls)
    values = np.where(first < len(best), best[np.minimum(first, len(best) - 1)], 0.0)
    return float(values.sum() / 11)


def _curve(correct: np.ndarray, positives: int) -> tuple[np.ndarray, np.ndarray]:
    """Recall at every rank, and the best precision from there on."""
    hits = np.cumsum(correct)
    precision = hits / np.arange(1, len(correct) + 1)
    return hits / positives, np.maximum.accumulate(precision[::-1])[::-1]
