"""Relation quality against gold: average precision, the threshold curve, ties."""

from __future__ import annotations

import pyarrow as pa
import pytest

from relforge.evaluation.labels import compare_labels


def rows(*facts: tuple) -> pa.Table:
    names = ("image_id", "subject_box", "predicate", "object_box", "score")[: len(facts[0])]
    return pa.table({name: [fact[i] for fact in facts] for i, name in enumerate(names)})


GOLD = rows(("a", 0, "on", 1), ("a", 1, "on", 2), ("b", 0, "in", 1), ("b", 0, "in", 1))


def test_perfect_relations_score_one() -> None:
    found = compare_labels(GOLD.append_column("score", pa.array([0.9, 0.8, 0.7, 0.6])), GOLD)
    assert found.mean_average_precision == pytest.approx(1.0)
    assert found.curve.at(0.7) == pytest.approx((1.0, 1.0, 1.0))
    assert found.gold == {"on": 2, "in": 1}


def test_average_precision_by_hand() -> None:
    # on: right, wrong, right -> interpolated precision 1 at recall 1/2, 2/3 at recall 1
    scored = rows(("a", 0, "on", 1, 0.9), ("a", 0, "on", 2, 0.8), ("a", 1, "on", 2, 0.7))
    found = compare_labels(scored, GOLD)
    assert found.average_precision["on"] == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert found.average_precision["in"] == 0.0
    assert found.curve.best() == pytest.approx((0.7, 2 * (2 / 3) * (2 / 3) / (4 / 3)))


def test_equal_scores_are_one_point_of_the_curve() -> None:
    right, wrong = ("a", 0, "on", 1, 0.5), ("a", 0, "on", 2, 0.5)
    for order in ((right, wrong), (wrong, right)):
        assert compare_labels(rows(*order), GOLD).average_precision["on"] == pytest.approx(0.25)


def test_duplicates_count_once() -> None:
    once = compare_labels(rows(("a", 0, "on", 1, 0.9)), GOLD)
    twice = compare_labels(rows(("a", 0, "on", 1, 0.3), ("a", 0, "on", 1, 0.9)), GOLD)
    assert once.average_precision == twice.average_precision


def test_no_relations_score_zero() -> None:
    empty = GOLD.slice(0, 0).append_column("score", pa.array([], pa.float32()))
    found = compare_labels(empty, GOLD)
    assert (found.mean_average_precision, found.curve.best()) == (0.0, (0.0, 0.0))
