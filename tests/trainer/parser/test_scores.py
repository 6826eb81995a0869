"""Agreement of parsed and gold triples."""

from __future__ import annotations

from relforge.trainer.parser.scores import score_sets

GOLD: list[set[tuple[str, ...]]] = [{("man", "ride", "horse"), ("horse", "is", "brown")}, {("cat",)}]


def test_a_perfect_parse_scores_one() -> None:
    scores = score_sets(GOLD, GOLD)

    assert scores["exact"] == scores["triplet_f1"] == scores["relation_f1"] == 1.0


def test_attributes_count_as_triplets_and_not_as_relations() -> None:
    scores = score_sets([{("man", "ride", "horse"), ("horse", "is", "tall")}, {("cat",)}], GOLD)

    assert scores["exact"] == 0.5
    assert scores["triplet_f1"] == 0.5
    assert scores["relation_f1"] == 1.0


def test_precision_and_recall_tell_too_much_from_too_little() -> None:
    scores = score_sets([{("man", "ride", "horse"), ("man", "on", "horse")}, {("cat",)}], GOLD)

    assert scores["relation_precision"] == 0.5
    assert scores["relation_recall"] == 1.0


def test_nothing_found_is_no_division_by_zero() -> None:
    assert score_sets([set(), set()], GOLD)["triplet_f1"] == 0.0
    assert score_sets([], [])["exact"] == 0.0
