"""HICO-style mean average precision: boxes, names, ranks, subjects, by hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest

from relforge.evaluation.annotated import Annotated
from relforge.evaluation.hico_quality import measure_detections
from relforge.evaluation.overlap import plain
from relforge.evaluation.pairs import Pairs

MAN, HORSE = (0.0, 0.0, 12.0, 20.0), (10.0, 0.0, 30.0, 20.0)
RIDING = ("person", "riding", "horse")


def pairs(*rows: tuple) -> Pairs:
    """Rows of (image, kind, subject box, object box, score)."""
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), (), ()]
    subject, predicate, object_ = (np.array([kind[i] for kind in columns[1]], object) for i in range(3))
    subject_box, object_box = (np.array(column, float).reshape(-1, 4) for column in columns[2:4])
    image, score = np.array(columns[0], object), np.array(columns[4], float)
    return Pairs(image, subject, predicate, object_, subject_box, object_box, score)


def shifted(box: tuple, by: float) -> tuple:
    return (box[0] + by, box[1], box[2] + by, box[3])


GOLD = pairs(("a", RIDING, MAN, HORSE, 1), ("b", RIDING, MAN, HORSE, 1))


def test_perfect_detections_score_one() -> None:
    found = measure_detections(GOLD, GOLD)
    assert found.average_precision == {RIDING: 1.0}
    assert (found.gold, found.detections) == ({RIDING: 2}, 2)


@pytest.mark.parametrize(
    ("kind", "subject_box", "object_box"),
    [
        (("person", "feeding", "horse"), MAN, HORSE),
        (("person", "riding", "cow"), MAN, HORSE),
        (RIDING, shifted(MAN, 5), HORSE),  # IoU 7 / 17
        (RIDING, MAN, shifted(HORSE, 8)),  # IoU 12 / 28
        (RIDING, HORSE, MAN),
    ],
    ids=["verb", "object class", "subject box", "object box", "direction"],
)
def test_names_and_both_boxes_must_fit(kind: tuple, subject_box: tuple, object_box: tuple) -> None:
    assert measure_detections(pairs(("a", kind, subject_box, object_box, 0.9)), GOLD).mean() == 0.0


def test_an_overlap_of_a_half_is_enough() -> None:
    near = pairs(("a", RIDING, shifted(MAN, 4), HORSE, 0.9))  # IoU 8 / 16
    assert measure_detections(near, GOLD).mean() == pytest.approx(6 / 11)


def test_average_precision_is_read_at_eleven_recalls() -> None:
    # right, wrong, right: precision 1 up to recall 1/2 (six of eleven points), then 2/3
    found = pairs(
        ("a", RIDING, MAN, HORSE, 0.9), ("c", RIDING, MAN, HORSE, 0.8), ("b", RIDING, MAN, HORSE, 0.7)
    )
    assert measure_detections(found, GOLD).mean() == pytest.approx((6 + 5 * 2 / 3) / 11)


def test_a_pair_detected_twice_is_wrong_the_second_time() -> None:
    found = pairs(
        ("a", RIDING, MAN, HORSE, 0.9), ("a", RIDING, MAN, HORSE, 0.8), ("b", RIDING, MAN, HORSE, 0.7)
    )
    assert measure_detections(found, GOLD).mean() == pytest.approx((6 + 5 * 2 / 3) / 11)


def test_a_detection_is_assigned_to_the_pair_that_it_overlaps_best() -> None:
    # two people on one horse; both found pairs fit the first one best
    gold = pairs(("a", RIDING, MAN, HORSE, 1), ("a", RIDING, shifted(MAN, 2), HORSE, 1))
    found = pairs(("a", RIDING, MAN, HORSE, 0.9), ("a", RIDING, shifted(MAN, 0.5), HORSE, 0.8))
    assert measure_detections(found, gold).mean() == pytest.approx(6 / 11)


def test_only_pairs_of_the_subject_count_unless_none_is_named() -> None:
    chasing = ("dog", "chasing", "cat")
    gold = pairs(("a", RIDING, MAN, HORSE, 1), ("a", chasing, MAN, HORSE, 1))
    found = pairs(("a", chasing, MAN, HORSE, 0.9))
    assert measure_detections(found, gold).average_precision == {RIDING: 0.0}
    assert measure_detections(found, gold, subject=None).average_precision == {chasing: 1.0, RIDING: 0.0}


def test_kinds_the_annotation_lacks_count_nowhere() -> None:
    strange = pairs(("a", ("person", "eating", "cake"), MAN, HORSE, 0.99))
    found = measure_detections(strange, GOLD)
    assert (set(found.average_precision), found.detections) == ({RIDING}, 0)


def test_the_mean_can_be_taken_over_some_kinds() -> None:
    feeding = ("person", "feeding", "horse")
    gold = pairs(("a", RIDING, MAN, HORSE, 1), ("a", feeding, MAN, HORSE, 1))
    result = measure_detections(pairs(("a", RIDING, MAN, HORSE, 0.9)), gold)
    assert (result.mean(), result.mean(lambda kind: kind[1] == "riding")) == (0.5, 1.0)
    assert result.mean(lambda kind: kind[1] == "swimming") == 0.0


def test_boxes_without_area_overlap_nothing() -> None:
    empty = np.zeros(4)
    assert plain(empty, empty) == 0.0
    assert plain(np.array(MAN), np.array(shifted(MAN, 4))) == 0.5


def test_classes_are_compared_whatever_their_spelling() -> None:
    gold = pairs(("a", ("person", "riding", "fire hydrant"), MAN, HORSE, 1))
    annotated = Annotated(["a"], np.ones(1, bool), gold, None, [set()])
    found = annotated.spell(pairs(("a", ("Persons", "riding", "fire_hydrant"), MAN, HORSE, 0.9)))
    assert found.kinds() == gold.kinds()
    assert annotated.spell(pairs()).kinds() == []
