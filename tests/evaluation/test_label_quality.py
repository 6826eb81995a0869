"""Label quality, its calibration and the frequency prior, on tables small enough to check by hand."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from relforge.evaluation import streamed
from relforge.evaluation.calibration import calibration, expected_error
from relforge.evaluation.label_codes import encode_labels
from relforge.evaluation.label_points import Labels
from relforge.evaluation.label_quality import assess_labels
from relforge.evaluation.prior import fold, prior_scores
from tests.evaluation.label_quality_reference import assess_labels as assess_in_memory

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
    images = [image for image, _ in rows]
    numbers = [images[:place].count(image) for place, image in enumerate(images)]
    columns = {"image_id": images, "box_id": numbers, "category": [name for _, name in rows]}
    return pa.table(columns).set_column(1, "box_id", pa.array(numbers, pa.int32()))


def assess(
    candidates: pa.Table, scored: pa.Table, kept: pa.Table, gold: pa.Table, threshold: float
) -> dict[str, Any]:
    """The quality of tables whose boxes are `RIDERS`."""
    return assess_tables(
        {"candidates": candidates, "scored": scored, "kept": kept, "gold": gold, "boxes": RIDERS}, threshold
    )


def assess_tables(tables: dict[str, pa.Table], threshold: float) -> dict[str, Any]:
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        labels = encode_labels(connection, Labels("candidates", "scored", "kept", "gold", "kept"))
        found = assess_labels(connection, labels, threshold)
    assert found is not None
    return found


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

    found = assess(scored, scored, scored, gold, threshold=0.5)

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

    found = assess(nothing, nothing, nothing, gold, threshold=0.2)

    assert (found["kept"]["f1"], found["curve"], found["calibration"]) == (0.0, [], [])


def test_repetitions_of_a_relation_count_once() -> None:
    twice = pairs(*[(FIRST, "person", "riding", "horse")] * 2, score=(0.9, 0.7))

    found = assess(twice, twice, twice, pairs((FIRST, "person", "riding", "horse")), threshold=0.2)

    assert found["kept"]["relations"] == 1
    assert found["predicates"][0]["recall"] == 1.0
    assert found["calibration"][0]["rows"] == 1


@pytest.mark.parametrize("scores", [3, 10**6])
def test_quality_is_that_of_tables_in_memory_to_the_last_digit(
    scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given relations with repetitions and equal scores, and words that no gold has, in small blocks
    monkeypatch.setattr(streamed, "BLOCK", 128)
    random = np.random.default_rng(scores)
    names = np.array(["person", "horse", "dog", "hat"])
    category = {(image, box): str(random.choice(names)) for image in range(90) for box in range(4)}
    boxes = pa.table(
        {
            "image_id": [str(image) for image, _ in category],
            "box_id": pa.array([box for _, box in category], pa.int32()),
            "category": list(category.values()),
        }
    )

    def draw(rows: int, scored: bool = True) -> pa.Table:
        image, subject, object_ = random.integers(0, (90, 4, 4), (rows, 3)).T
        known = random.integers(0, 5 if scored else 4, rows)
        predicate = np.array(["on", "near", "rides", "of", "in"])[known]
        columns = {
            "image_id": image.astype(str),
            "subject_box": pa.array(subject, pa.int32()),
            "object_box": pa.array(object_, pa.int32()),
            "predicate": predicate,
            "subject_class": [category[one] for one in zip(image, subject, strict=True)],
            "object_class": [category[one] for one in zip(image, object_, strict=True)],
        }
        if scored:
            columns["score"] = pa.array(random.integers(0, scores + 1, rows) / scores, pa.float32())
        keys = ("image_id", "subject_box", "object_box", "predicate")
        return pa.table(columns).sort_by([(key, "ascending") for key in keys])

    tables = {"candidates": draw(3000), "scored": draw(2500), "kept": draw(800), "gold": draw(500, False)}

    found = assess_tables(tables | {"boxes": boxes}, 0.4)
    wanted = assess_in_memory(
        tables["candidates"], tables["scored"], tables["kept"], tables["gold"], boxes, 0.4
    )

    # sums of float32 in memory depend on their order
    for bin_, other in zip(found["calibration"], wanted["calibration"], strict=True):
        assert bin_.pop("score") == pytest.approx(other.pop("score"), rel=1e-6)
    error = found.pop("expected_calibration_error")
    assert error == pytest.approx(wanted.pop("expected_calibration_error"), rel=1e-6)
    assert found == wanted


def test_a_score_that_is_no_number_ranks_last() -> None:
    rows = [(FIRST, "person", name, "horse") for name in ("riding", "near")]
    scored = pairs(*rows, score=(float("nan"), 0.5))

    found = assess(scored, scored, scored, pairs(rows[1]), threshold=0.2)

    assert found["best"] == {"threshold": 0.5, "precision": 1.0, "recall": 1.0, "f1": 1.0}
