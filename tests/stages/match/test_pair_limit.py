"""Pairs of an image are bounded: which are kept depends on the image alone, and the others are counted."""

from __future__ import annotations

import numpy as np
import pytest

from relforge.stages.match.pair_limit import limit_claims
from relforge.stages.match.stage import MatchStage


def match(rows, boxes, *facts, **options):
    tables = {"triplets": rows.triplets(*facts), "boxes": boxes, "images": rows.table("images", {})}
    return MatchStage(**options).process(tables)


def test_thousands_of_boxes_of_one_class_stay_within_the_limit(rows) -> None:
    result = match(rows, rows.boxes(*["person"] * 3000), ("a man", "near", "a woman"))
    kept = result.tables["candidates"].num_rows
    assert 90_000 < kept <= 100_000
    assert result.notes == {"pairs_beyond_limit": 3000 * 2999 - kept}
    assert (result.kept, result.dropped) == (1, {})


def test_the_largest_boxes_are_paired_and_equal_ones_by_id(rows) -> None:
    sizes = (1.0, 9.0, 5.0, 5.0, 5.0)
    people = rows.table("boxes", *({"box_id": i, "category": "person", "w": w} for i, w in enumerate(sizes)))
    result = match(rows, people, ("a man", "near", "a woman"), max_pairs=9)
    found = result.tables["candidates"]
    assert {*found["subject_box"].to_pylist(), *found["object_box"].to_pylist()} == {1, 2, 3}
    assert found.num_rows == 6
    assert result.notes == {"pairs_beyond_limit": 14}


def test_small_claims_stay_whole_and_large_ones_share(rows) -> None:
    boxes = rows.boxes(*["person"] * 40, "dog")
    facts = [("a man", "near", "a woman"), ("a man", "behind", "a woman"), ("a man", "walks", "a dog")]
    found = match(rows, boxes, *facts, max_pairs=240).tables["candidates"]["predicate"].to_pylist()
    assert found.count("walks") == 40
    assert found.count("near") == found.count("behind") == 90


def test_a_triplet_for_which_no_pair_is_left_has_a_reason(rows) -> None:
    facts = [("a man", f"sees{i}", "a dog") for i in range(5)]
    result = match(rows, rows.boxes("person", "dog"), *facts, max_pairs=3)
    assert result.kept == 3
    assert result.dropped == {"pairs_beyond_limit": 2}


def test_without_a_limit_every_pair_is_there(rows) -> None:
    result = match(rows, rows.boxes(*["person"] * 400), ("a man", "near", "a woman"), max_pairs=0)
    assert result.tables["candidates"].num_rows == 400 * 399
    assert result.notes == {}


def test_the_published_method_has_no_limit_of_its_own(rows) -> None:
    result = match(rows, rows.boxes(*["person"] * 400), ("a man", "near", "a woman"), method="substring")
    assert result.tables["candidates"].num_rows == 400 * 399


def test_an_image_is_limited_by_its_own_claims_alone() -> None:
    image, order = np.array([0, 1, 1]), np.array([0, 0, 1])
    counts = np.array([5, 50, 2])
    subjects, objects = limit_claims(image, order, counts, counts, 100)
    assert subjects.tolist() == [5, 9, 2]
    assert objects.tolist() == [5, 10, 2]


@pytest.mark.parametrize(("subjects", "objects"), [(1, 10**6), (10**6, 1), (7, 10**6), (1000, 1000)])
def test_long_and_short_sides_use_the_share(subjects: int, objects: int) -> None:
    one = np.array([0])
    found = limit_claims(one, one, np.array([subjects]), np.array([objects]), 1000)
    assert 900 < int(found[0][0] * found[1][0]) <= 1000


def test_a_limit_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"match\.max_pairs: 1 keeps nothing"):
        MatchStage(max_pairs=1)
