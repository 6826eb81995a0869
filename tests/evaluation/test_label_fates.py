"""Where gold relations are lost, and how precise the most confident relations are."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from relforge.evaluation import label_fates
from relforge.evaluation.label_codes import encode_labels
from relforge.evaluation.label_fates import FATES, count_fates
from relforge.evaluation.label_points import Labels
from relforge.evaluation.label_reliability import assess_reliability

BOXES = ("person", "horse", "dog", "hat", "horse")


def pairs(*rows: tuple[int, str, int], score: tuple[float, ...] | None = None) -> pa.Table:
    """(subject box, predicate, object box) of one image."""
    columns = {
        "image_id": ["1"] * len(rows),
        "subject_box": pa.array([row[0] for row in rows], pa.int32()),
        "object_box": pa.array([row[2] for row in rows], pa.int32()),
        "predicate": pa.array([row[1] for row in rows], pa.string()),
    }
    if score is not None:
        columns["score"] = pa.array(score, pa.float32())
    return pa.table(columns)


def labels(**tables: pa.Table) -> tuple[duckdb.DuckDBPyConnection, Labels]:
    boxes = {"image_id": ["1"] * len(BOXES), "box_id": pa.array(range(len(BOXES)), pa.int32())}
    connection = duckdb.connect()
    nothing = dict.fromkeys(("candidates", "scored", "kept", "gold"), pairs(score=()))
    given = nothing | tables | {"boxes": pa.table(boxes | {"category": list(BOXES)})}
    for name, table in given.items():
        connection.register(name, table)
    grounded = "grounded" if "grounded" in tables else None
    found = Labels("candidates", "scored", "kept", "gold", "kept", grounded=grounded)
    return connection, encode_labels(connection, found)


@pytest.mark.parametrize("part", [1000, 2])
def test_a_gold_relation_has_the_fate_of_the_stage_that_lost_it(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_fates, "_PART", part)
    claims = ((0, "riding", 1), (0, "near", 1), (0, "feeding", 1), (0, "on", 1), (2, "biting", 1))
    gold = (
        *claims[:4],
        (0, "riding", 4),
        (0, "leading", 1),
        (0, "walking", 2),
        (0, "wearing", 3),
        (3, "on", 3),
    )
    tables = {
        "candidates": pairs(*claims),
        "scored": pairs(*claims[:2], score=(0.9, 0.1)),
        "kept": pairs(claims[0], score=(0.9,)),
        "gold": pairs(*gold, gold[0]),
    }

    fates = count_fates(*labels(**tables, grounded=pairs(*claims[:3])))

    assert fates == dict.fromkeys(FATES, 1)
    # a run without the stage gives its candidates to the tagger
    assert count_fates(*labels(**tables))["tag"] == 2


def test_the_most_confident_relations_are_measured_tenth_by_tenth() -> None:
    kept = [(0, f"p{number}", 1) for number in range(10)]
    score = (*(1 - number / 20 for number in range(8)), 0.3, 0.3)
    connection, found = labels(kept=pairs(*kept, score=score), gold=pairs(*kept[:4]))

    reliability = assess_reliability(connection, found)

    assert reliability is not None
    coverage = reliability["coverage"]
    assert [one["coverage"] for one in coverage] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.0]
    assert coverage[3] == {"coverage": 0.4, "threshold": pytest.approx(0.85), "precision": 1.0}
    assert coverage[-1]["precision"] == 0.4
    assert sum(one["rows"] for one in reliability["bins"]) == 10


@pytest.mark.parametrize(
    "scores",
    [
        np.random.default_rng(1).random(400),
        np.random.default_rng(2).integers(0, 5, 400) / 5,  # many equal ones
        0.5 + np.random.default_rng(3).random(400) / 1e5,  # closer together than they are counted by
        np.random.default_rng(4).normal(0, 3, 400),  # no probabilities
    ],
)
def test_tenths_are_those_of_all_relations_in_order(scores: np.ndarray) -> None:
    scores = scores.astype(np.float32)
    kept = [(number // 20, f"p{number % 20}", 1) for number in range(len(scores))]
    right = np.arange(len(scores)) % 3 == 0
    gold = [one for one, is_right in zip(kept, right, strict=True) if is_right]

    found = assess_reliability(*labels(kept=pairs(*kept, score=tuple(scores)), gold=pairs(*gold)))

    assert found is not None
    thresholds = np.sort(scores)[::-1][[39 + 40 * tenth for tenth in range(10)]]
    shown = [scores >= threshold for threshold in thresholds]
    assert [one["threshold"] for one in found["coverage"]] == thresholds.tolist()
    assert [one["coverage"] for one in found["coverage"]] == [one.mean() for one in shown]
    assert [one["precision"] for one in found["coverage"]] == [right[one].mean() for one in shown]


def test_without_relations_there_is_nothing_to_trust() -> None:
    connection, found = labels(kept=pairs(score=()), gold=pairs((0, "on", 1)))

    assert assess_reliability(connection, found) is None
