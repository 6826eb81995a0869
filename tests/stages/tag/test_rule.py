"""The greedy baseline tags every candidate, or every overlapping one."""

from __future__ import annotations

import pytest

from relforge.stages.registry import build


def test_every_candidate_is_scored_one(rows) -> None:
    candidates = rows.table("candidates", {"subject_box": 0, "object_box": 1, "predicate": "on"})
    result = build("tag", "rule").process({"candidates": candidates, "boxes": rows.boxes("a", "b")})
    (row,) = result.tables["scores"].to_pylist()
    assert (row["score"], row["subject_score"], row["tagger"]) == (1.0, None, "rule")


def test_the_overlap_prior_drops_pairs_that_are_apart(rows) -> None:
    boxes = rows.table(
        "boxes", *({"box_id": i, "category": "a", "x": x} for i, x in enumerate((0.0, 5.0, 50.0)))
    )
    candidates = rows.table(
        "candidates", *({"subject_box": 0, "object_box": o, "predicate": "on"} for o in (1, 2))
    )
    result = build("tag", "rule", overlap_prior=True).process({"candidates": candidates, "boxes": boxes})
    assert result.tables["scores"]["object_box"].to_pylist() == [1]
    assert (result.kept, result.dropped) == (1, {"no_overlap": 1})


def test_a_candidate_without_its_box_is_an_error_that_names_it(rows) -> None:
    candidates = rows.table("candidates", {"subject_box": 0, "object_box": 7, "predicate": "on"})
    with pytest.raises(ValueError, match="image 1: object_box 7"):
        build("tag", "rule", overlap_prior=True).process({"candidates": candidates, "boxes": rows.boxes("a")})


def test_unknown_backends_are_named_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"choose one of .*rule"):
        build("tag", "rul")
