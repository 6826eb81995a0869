"""Label quality, its calibration and the frequency prior, on tables small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from relforge.evaluation.calibration import calibration, expected_error
from relforge.evaluation.label_quality import assess_labels
from relforge.evaluation.prior import fold, prior_scores

# an image id of each half
FIRST, SECOND = (next(str(i) for i in range(99) if fold(str(i)) == half) for half in (0, 1))


def pairs(*rows: tuple[str, str, str, str], score: tuple[float, ...] | None = None) -> pa.Table:
    """(image, subject class, predicate, object class) between boxes 0 and 1."""
    image, subject, predicate, object_ = zip(*rows, strict=True)
    columns = {
        "image_id": image,
        "subject_box": pa.array([0] * len(rows), pa.int32()),
        "object_box": pa.array([1] * len(rows), pa.int32()),
        "predicate": predicate,
        "subject_class": subject,
        "object_class": object_,
    }
    if score is not None:
        columns["score"] = pa.array(score, pa.float32())
    return pa.table(columns)


def boxes(*rows: tuple[str, str]) -> pa.Table:
    return pa.table({"image_id": [image for image, _ in rows], "category": [name for _, name in rows]})


RIDERS = boxes(*((image, name) for image in (FIRST, SECOND) for name in ("person", "horse")))


def test_calibration_compares_score_and_precision_bin_by_bin() -> None:
    score = np.array([0.1, 0.1, 0.9, 1.0], np.float32)

    low, high = found = calibration(score, np.array([False, True, True, True]), bins=2)

    assert (low.low, low.high, low.rows, low.precision) == (0, 0.5, 2, 0.5)
    assert (high.low, high.high, high.rows, high.precision) == (0.5, 1, 2, 1.0)
    assert expected_error(found) == pytest.approx((2 * 0.4 + 2 * 0.05) / 4)
    assert expected_error([]) == 0.0


def test_the_prior_knows_only_the_other_half() -> None:
    candidates = pairs((FIRST, "person", "riding", "horse"), (SECOND, "person", "riding", "horse"))

    scores = prior_scores(candidates, pairs((FIRST, "person", "riding", "horse")), RIDERS)

    assert scores.tolist() == [0.0, 1.0]


def test_the_prior_is_the_share_of_box_pairs() -> None:
    two_riders = boxes((FIRST, "person"), (FIRST, "person"), (FIRST, "horse"), (SECOND, "person"))
    candidates = pairs((SECOND, "person", "riding", "horse"))

    scores = prior_scores(candidates, pairs((FIRST, "person", "riding", "horse")), two_riders)

    assert scores.tolist() == [0.5]


def test_quality_judges_kept_relations_thresholds_and_predicates() -> None:
    # given two right candidates, a wrong one between them in score, and one in words of its own
    scored = pairs(
        (FIRST, "person", "riding", "horse"),
        (SECOND, "person", "near", "horse"),
        (SECOND, "person", "riding", "horse"),
        (FIRST, "person", "rides", "horse"),
        score=(0.9, 0.6, 0.4, 0.3),
    )
    gold = pairs(
        (FIRST, "person", "riding", "horse"),
        (SECOND, "person", "riding", "horse"),
        (FIRST, "person", "near", "horse"),
    )

    found = assess_labels(scored, scored, scored, gold, RIDERS, threshold=0.5)

    assert found["kept"]["precision"] == 0.5
    assert found["kept"]["recall"] == pytest.approx(2 / 3)
    assert (found["threshold"]["precision"], found["threshold"]["recall"]) == (0.5, pytest.approx(1 / 3))
    assert found["best"]["threshold"] == pytest.approx(0.4)
    assert (found["greedy"]["precision"], found["greedy"]["recall"]) == (0.5, pytest.approx(2 / 3))
    assert found["greedy"]["mean_average_precision"] == pytest.approx(0.5)  # riding 1, near 0
    assert found["unknown_predicates"] == {"rides": 1}
    riding, near = found["predicates"]
    assert (riding["gold"], riding["right"], riding["f1"], riding["average_precision"]) == (2, 2, 1.0, 1.0)
    assert (near["gold"], near["kept"], near["right"], near["f1"]) == (1, 1, 0, 0.0)


def test_quality_of_a_run_without_relations() -> None:
    gold = pairs((FIRST, "person", "riding", "horse"))
    nothing = pairs((FIRST, "person", "riding", "horse"), score=(1.0,)).slice(0, 0)

    found = assess_labels(nothing, nothing, nothing, gold, RIDERS, threshold=0.2)

    assert (found["kept"]["f1"], found["curve"], found["calibration"]) == (0.0, [], [])


def test_repetitions_of_a_relation_count_once() -> None:
    twice = pairs(*[(FIRST, "person", "riding", "horse")] * 2, score=(0.9, 0.7))

    found = assess_labels(
        twice, twice, twice, pairs((FIRST, "person", "riding", "horse")), RIDERS, threshold=0.2
    )

    assert found["kept"]["relations"] == 1
    assert found["predicates"][0]["recall"] == 1.0
    assert found["calibration"][0]["rows"] == 1
