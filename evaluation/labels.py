"""Scored relations against gold ones, box pair by box pair.

Boxes are given and the same on both sides, so a relation is right when (image, subject box, predicate,
object box) is in the gold; no overlap threshold is involved.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.columns import codes, flat

_KEYS = ("image_id", "subject_box", "object_box", "predicate")


@dataclass(frozen=True)
class Curve:
    """Precision and recall at every distinct score, from strict to lenient."""

    threshold: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def f1(self) -> np.ndarray:
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


@dataclass(frozen=True)
class Quality:
    """Results.

    Args:
        curve: over all relations together.
        average_precision: predicate -> AP (all-point), over predicates that the gold has.
        gold: predicate -> number of gold relations.
    """

    curve: Curve
    average_precision: dict[str, float]
    gold: dict[str, int] = field(default_factory=dict)

    @property
    def mean_average_precision(self) -> float:
        """Mean over the gold's predicates; one that was never proposed counts 0."""
        values = list(self.average_precision.values())
        return float(np.mean(values)) if values else 0.0


def evaluate(relations: pa.Table, gold: pa.Table) -> Quality:
    """Compare.

    Args:
        relations: pair columns and `score`; the best of equal rows counts.
        gold: pair columns; repeats count once.
    """
    gold_keys, keys = _together(gold, relations)
    gold_keys = np.unique(gold_keys)
    score = relations["score"].to_numpy().astype(np.float32)
    order = np.lexsort((keys, -score))
    keys, score = keys[order], score[order]
    _, first = np.unique(keys, return_index=True)
    keep = np.sort(first)
    keys, score = keys[keep], score[keep]
    right = np.isin(keys, gold_keys)

    predicates = pc.unique(flat(gold["predicate"]))
    names = predicates.to_pylist()
    asked = codes(relations["predicate"], predicates)[order][keep]
    held = codes(gold["predicate"], predicates)
    unique_gold = np.unique(_rows(gold, np.arange(gold.num_rows)), return_index=True)[1]
    counts = np.bincount(held[unique_gold], minlength=len(names))
    ap = {
        name: _average_precision(right[asked == code], score[asked == code], int(counts[code]))
        for code, name in enumerate(names)
    }
    return Quality(_curve(right, score, len(gold_keys)), ap, dict(zip(names, counts.tolist(), strict=True)))


def _curve(right: np.ndarray, score: np.ndarray, positives: int) -> Curve:
    hits = np.cumsum(right)
    # rows of equal score stand or fall together
    last = np.append(score[1:] != score[:-1], True) if len(score) else np.zeros(0, bool)
    found, kept = hits[last], np.arange(1, len(score) + 1)[last]
    return Curve(score[last], found / np.maximum(kept, 1), found / max(positives, 1))


def _average_precision(right: np.ndarray, score: np.ndarray, positives: int) -> float:
    """Area under the interpolated precision-recall curve; equal scores form one point."""
    curve = _curve(right, score, positives)
    if not len(curve.recall):
        return 0.0
    precision = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * precision))


def _rows(table: pa.Table, rows: np.ndarray) -> np.ndarray:
    keys, _ = _together(table, table.slice(0, 0))
    return keys[rows]


def _together(first: pa.Table, second: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """One integer per row of both tables, equal where the keys are."""
    joined = pa.concat_tables([first.select(_KEYS), second.select(_KEYS)])
    combined = np.zeros(joined.num_rows, np.int64)
    for key in _KEYS:
        column = flat(joined[key])
        values = pc.unique(column)
        combined = combined * (len(values) + 1) + codes(column, values)
        combined = np.unique(combined, return_inverse=True)[1].astype(np.int64)
    return combined[: first.num_rows], combined[first.num_rows :]
