"""Sums and curves over columns that arrive in blocks, equal to NumPy's over whole columns to the last bit.

Memory does not grow with the rows, so that a report needs no more for a hundred million relations than for
one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from relforge.evaluation.precision_recall import Curve

BLOCK = 1 << 17
"""Rows at a time; NumPy's own blocks of 128 have to fit."""


class Columns:
    """Reads columns from record batches, any number of rows at a time.

    Args:
        batches: such as of a query.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches: Iterator[pa.RecordBatch] = iter(batches)
        self._rest: pa.RecordBatch | None = None

    def take(self, rows: int) -> tuple[np.ndarray, ...]:
        """The next rows, an array a column.

        Raises:
            ValueError: there are not so many.
        """
        parts = []
        while rows:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            if batch is None:
                raise ValueError(f"{rows} rows are missing")
            part, self._rest = batch.slice(0, rows), None
            if batch.num_rows > rows:
                self._rest = batch.slice(rows)
            rows -= part.num_rows
            parts.append([column.to_numpy(zero_copy_only=False) for column in part.columns])
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def add_pairwise(rows: int, add: Callable[[int], np.floating]) -> np.floating:
    """The sum of a column as `np.sum` adds it: halves of halves, down to blocks.

    Args:
        rows: of the column, at least 1.
        add: takes the next rows from its end, and returns their sum.
    """
    if rows <= BLOCK:
        return add(rows)
    half = rows // 2
    half -= half % 8
    second = add_pairwise(rows - half, add)
    return add_pairwise(half, add) + second


def average_precision(columns: Columns, points: int, rows: int, right: int, positives: int) -> float:
    """As `precision_recall.average_precision`, from points by rising score.

    Args:
        columns: rows of each distinct score and how many of them are right; the lowest score first.
        points: how many distinct scores.
        rows, right: in all.
        positives: how many rows would be right at best.
    """
    best = 0.0

    def add(count: int) -> np.floating:
        nonlocal rows, right, best
        of_score, hits = columns.take(count)
        kept, hit = rows - (np.cumsum(of_score) - of_score), right - (np.cumsum(hits) - hits)
        # no threshold below keeps with a better precision
        envelope = np.maximum(np.maximum.accumulate(hit / np.maximum(kept, 1)), best)
        recall, above = hit / max(positives, 1), (hit - hits) / max(positives, 1)
        rows, right, best = rows - int(of_score.sum()), right - int(hits.sum()), float(envelope[-1])
        total: np.floating = np.ascontiguousarray(((recall - above) * envelope)[::-1]).sum()
        return total

    return float(add_pairwise(points, add)) if points else 0.0


@dataclass(frozen=True)
class Point:
    """Precision, recall and F1 of what scores at least `threshold`."""

    threshold: float = 0.0
    precision: float = 0.0
    recall: float = 0.0
    f1: float = 0.0

    @property
    def measures(self) -> dict[str, float]:
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True)
class Thinned:
    """What is kept of a `precision_recall.Curve`.

    Args:
        points: some of its points, by falling score.
        best: where F1 is largest.
        at: where a threshold is reached last; zeros where it never is.
    """

    points: list[Point]
    best: Point
    at: Point


def thin(columns: Columns, points: int, positives: int, threshold: float, most: int) -> Thinned:
    """A curve thinned to what a plot can show, both ends kept.

    Args:
        columns: distinct scores, rows of each and how many of them are right; the highest score first.
        points: how many distinct scores.
        positives: how many rows would be right at best.
        threshold: of `at`.
        most: points that are kept.
    """
    wanted = np.unique(np.linspace(0, points - 1, min(points, most)).round().astype(np.int64))
    shown: list[Point] = []
    best = at = Point()
    kept = right = 0
    for first in range(0, points, BLOCK):
        score, rows, hits = columns.take(min(BLOCK, points - first))
        rows, hits = kept + np.cumsum(rows), right + np.cumsum(hits)
        kept, right = int(rows[-1]), int(hits[-1])
        curve = Curve(score, hits / np.maximum(rows, 1), hits / max(positives, 1))
        f1 = curve.f1

        def point(place: int, curve: Curve = curve, f1: np.ndarray = f1) -> Point:
            columns = curve.threshold, curve.precision, curve.recall, f1
            return Point(*(float(values[place]) for values in columns))

        shown += [point(one - first) for one in wanted[(wanted >= first) & (wanted < first + len(score))]]
        highest = int(np.argmax(f1))
        if first == 0 or f1[highest] > best.f1:
            best = point(highest)
        if len(reached := np.flatnonzero(score >= np.float32(threshold))):
            at = point(int(reached[-1]))
    return Thinned(shown, best, at)
