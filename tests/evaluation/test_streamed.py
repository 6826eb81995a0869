"""Curves from blocks are those of whole columns, to the last bit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from relforge.evaluation import streamed
from relforge.evaluation.precision_recall import average_precision, compute_curve


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "BLOCK", 128)


def ranked(rows: int, scores: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether rows are right, and their scores, falling."""
    random = np.random.default_rng(rows)
    score = np.sort(random.integers(0, scores, rows))[::-1].astype(np.float32) / scores
    return random.random(rows) < score, score


def by_score(correct: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores, rising, with their rows and how many are right."""
    distinct, place = np.unique(score, return_inverse=True)
    return distinct, np.bincount(place), np.bincount(place, correct).astype(np.int64)


def columns(*arrays: np.ndarray) -> streamed.Columns:
    """In batches of 50 rows."""
    names = [str(place) for place in range(len(arrays))]
    table = pa.table([pa.array(one) for one in arrays], names)
    return streamed.Columns(table.to_batches(max_chunksize=50))


@pytest.mark.parametrize("rows", [1, 7, 129, 1000, 40_003])
def test_average_precision_is_that_of_the_whole_column(rows: int) -> None:
    correct, score = ranked(rows, 3 * rows)
    distinct, count, right = by_score(correct, score)

    found = streamed.average_precision(columns(count, right), len(distinct), rows, int(right.sum()), rows)

    assert found == average_precision(correct, score, rows)


def test_a_thinned_curve_has_points_of_the_whole_one() -> None:
    correct, score = ranked(2000, 900)
    distinct, count, right = (values[::-1] for values in by_score(correct, score))

    found = streamed.thin(columns(distinct, count, right), len(distinct), 1500, 0.25, most=7)
    curve = compute_curve(correct, score, 1500)

    assert [one.threshold for one in found.points][::6] == [curve.threshold[0], curve.threshold[-1]]
    assert (found.best.threshold, found.best.f1) == curve.best()
    assert (found.at.precision, found.at.recall, found.at.f1) == curve.at(0.25)


def test_missing_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match="3 rows are missing"):
        columns(np.arange(4)).take(7)
