"""What is left out before matching: all but the best pairs of an image, and near repetitions of a kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relforge.evaluation.overlap import pixels


@dataclass(frozen=True)
class PairNms:
    """Of two pairs of a kind the worse is left out where IoU(subjects)^alpha * IoU(objects)^beta > threshold.

    Args:
        alpha, beta, threshold: 1, 0.5, 0.7 in CDN and RLIPv2; 1, 1, 0.5 in QAHOI.
    """

    alpha: float = 1.0
    beta: float = 0.5
    threshold: float = 0.7


def best_of_images(image: np.ndarray, score: np.ndarray, limit: int) -> np.ndarray:
    """Rows of the `limit` best of every image, by image and falling score; equal scores keep their order."""
    order = np.lexsort((-score, image))
    starts = np.searchsorted(image[order], image[order])
    return order[np.arange(len(order)) - starts < limit]


def suppress(
    group: np.ndarray, subject_box: np.ndarray, object_box: np.ndarray, score: np.ndarray, nms: PairNms
) -> np.ndarray:
    """Rows that are kept, by first appearance of their group and in a group by falling score.

    Among equal scores the last row comes first, as in the published code (a reversed argsort).

    Args:
        group: n integers, equal for pairs of one image and kind.
        subject_box, object_box: n x 4 xyxy, pixels.
        score: n.
    """

    def repeats(best: np.ndarray, others: np.ndarray) -> np.ndarray:
        subjects, objects = (pixels(box[best], box[others]) for box in (subject_box, object_box))
        return subjects**nms.alpha * objects**nms.beta > nms.threshold

    return suppress_by(group, score, repeats)


def suppress_boxes(group: np.ndarray, box: np.ndarray, score: np.ndarray, threshold: float) -> np.ndarray:
    """As `suppress`, for rows with one box each: an IoU above the threshold."""
    return suppress_by(group, score, lambda best, others: pixels(box[best], box[others]) > threshold)


def suppress_by(group: np.ndarray, score: np.ndarray, repeats) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Greedy suppression of all groups at once; `repeats(best rows, other rows)` returns what is left out."""
    if not len(group):
        return np.zeros(0, int)
    _, first, number = np.unique(group, return_index=True, return_inverse=True)
    appearance = first[number]
    order = np.lexsort((-np.arange(len(group)), -score, appearance))
    kept = []
    while len(order):
        # the best row left of every group is kept, and compared with the others of its group
        leads = np.append(True, appearance[order][1:] != appearance[order][:-1])
        kept.append(order[leads])
        best = order[leads][np.cumsum(leads) - 1][~leads]
        order = order[~leads]
        order = order[~repeats(best, order)]
    rows = np.concatenate(kept)
    return rows[np.lexsort((-rows, -score[rows], appearance[rows]))]
