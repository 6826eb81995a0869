"""Precision and recall as the threshold falls, and the area under them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Curve:
    """Precision and recall at every distinct score, from strict to lenient; T entries each."""

    threshold: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """T, harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return np.divide(2 * self.precision * self.recall, total, out=np.zeros_like(total), where=total > 0)

    def at(self, threshold: float) -> tuple[float, float, float]:
        """(precision, recall, F1) of what scores at least `threshold`; zeros where nothing does."""
        kept = np.flatnonzero(self.threshold >= np.float32(threshold))
        if not len(kept):
            return 0.0, 0.0, 0.0
        last = kept[-1]
        return float(self.precision[last]), float(self.recall[last]), float(self.f1[last])

    def best(self) -> tuple[float, float]:
        """(threshold, F1) where F1 is largest."""
        if not len(self.threshold):
            return 0.0, 0.0
        index = int(np.argmax(self.f1))
        return float(self.threshold[index]), float(self.f1[index])


def compute_curve(correct: np.ndarray, score: np.ndarray, positives: int) -> Curve:
    """The curve of ranked rows.

    Args:
        correct, score: N, by falling score.
        positives: how many rows would be right at best.
    """
    hits = np.cumsum(correct)
    # rows of equal score are kept or dropped as one
    last = np.append(score[1:] != score[:-1], True) if len(score) else np.zeros(0, bool)
    right, kept = hits[last], np.arange(1, len(score) + 1)[last]
    return Curve(score[last], right / np.maximum(kept, 1), right / max(positives, 1))


def average_precision(correct: np.ndarray, score: np.ndarray, positives: int) -> float:
    """Area under the interpolated precision-recall curve; equal scores form one point."""
    curve = compute_curve(correct, score, positives)
    if not len(curve.recall):
        return 0.0
    precision = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * precision))
