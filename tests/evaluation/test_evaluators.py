"""Every benchmark by its name: it keeps the protocol, and the frequency prior is beside its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from relforge.data.vcoco import VcocoData
from relforge.evaluation.annotated import Annotated
from relforge.evaluation.coco import BoxResults, CocoEvaluator, CocoGold
from relforge.evaluation.evaluator import EVALUATORS, Evaluator, Result
from relforge.evaluation.hico import HicoEvaluator, HicoGold
from relforge.evaluation.labels import LabelsEvaluator, LabelsGold
from relforge.evaluation.open_images import OpenImagesEvaluator
from relforge.evaluation.pairs import Pairs
from relforge.evaluation.prior import fold, prior_of_detections
from relforge.evaluation.vcoco import VcocoEvaluator
from relforge.evaluation.vcoco_detections import VcocoDetections

# two image ids of each half
FIRST, SECOND = ([i for i in map(str, range(99)) if fold(i) == half][:2] for half in (0, 1))
BOX = [0.0, 0.0, 10.0, 10.0]


# mypy checks that these keep the protocol
HICO: Evaluator[HicoGold, Pairs] = HicoEvaluator(annotations="gold.json")
LABELS: Evaluator[LabelsGold, pa.Table] = LabelsEvaluator()
VCOCO: Evaluator[VcocoData, VcocoDetections] = VcocoEvaluator(annotations="gold.json")
OPEN_IMAGES: Evaluator[Annotated, Pairs] = OpenImagesEvaluator(annotations="gold.json")
COCO: Evaluator[CocoGold, BoxResults] = CocoEvaluator(annotations="gold.json")


@pytest.mark.parametrize("name", EVALUATORS)
def test_every_benchmark_reads_gold_reads_detections_and_measures(name: str) -> None:
    evaluator = EVALUATORS.load(name)
    assert all(callable(getattr(evaluator, verb)) for verb in ("read_gold", "read_detections", "measure"))


def pairs(*rows: tuple[str, str, str, str, float]) -> Pairs:
    """(image, subject, predicate, object, score), all with the same boxes."""
    image, subject, predicate, object_, score = (
        np.array(column, object) for column in zip(*rows, strict=True)
    )
    boxes = np.tile(BOX, (len(rows), 1))
    return Pairs(image, subject, predicate, object_, boxes, boxes, score.astype(float))


def value_and_prior(result: Result, measure: str) -> tuple[float, float | None]:
    return result.measures[measure].value, result.measures[measure].prior


def test_the_prior_of_detections_is_the_share_of_a_predicate_in_the_other_half() -> None:
    gold = pairs(
        (FIRST[0], "man", "riding", "horse", 1),
        (FIRST[0], "man", "feeding", "horse", 1),
        (FIRST[1], "man", "riding", "horse", 1),
        (SECOND[0], "man", "feeding", "horse", 1),
    )
    detections = pairs(
        (SECOND[1], "man", "riding", "horse", 0.1),
        (SECOND[1], "man", "feeding", "horse", 0.9),
        (SECOND[1], "man", "riding", "dog", 0.9),
        (FIRST[0], "man", "riding", "horse", 0.9),
        (FIRST[0], "man", "feeding", "horse", 0.9),
    )
    assert prior_of_detections(detections, gold).tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0, 1])


@pytest.fixture
def graphs_file(tmp_path: Path) -> Path:
    """A man rides a horse on three images and feeds it on the fourth."""
    predicates = {FIRST[0]: "riding", FIRST[1]: "riding", SECOND[0]: "riding", SECOND[1]: "feeding"}
    thing = {"x": 0, "y": 0, "w": 10, "h": 10}
    graphs = [
        {
            "image_id": int(image),
            "width": 10,
            "height": 10,
            "objects": [
                thing | {"object_id": 1, "names": ["person"]},
                thing | {"object_id": 2, "names": ["horse"]},
            ],
            "relationships": [
                {"relationship_id": 1, "predicate": predicate, "subject_id": 1, "object_id": 2}
            ],
        }
        for image, predicate in predicates.items()
    ]
    path = tmp_path / "scene_graphs.json"
    path.write_text(json.dumps(graphs))
    return path


def test_hico_reports_the_prior_beside_each_number_and_unseen_predicates_apart(graphs_file: Path) -> None:
    evaluator = HicoEvaluator(str(graphs_file), protocol="plain", unseen=["feeding"])
    gold = evaluator.read_gold("")
    # given a perfect detector that also detects riding, with less confidence, where the horse is fed
    rows = [(image, "person", "riding", "horse", 0.9) for image in (*FIRST, SECOND[0])]
    rows += [(SECOND[1], "person", "feeding", "horse", 0.8), (SECOND[1], "person", "riding", "horse", 0.3)]

    result = evaluator.measure(pairs(*rows), gold)

    assert (result.benchmark, result.protocol) == ("hico", "plain")
    assert result.counts == {"images": 4, "gold": 4, "detections": 5}
    assert value_and_prior(result, "mean_average_precision")[0] == pytest.approx(1.0)
    # by frequency, riding where the horse is fed ranks as high as riding itself
    prior = {row["predicate"]: float(row["prior_average_precision"]) for row in result.classes}
    assert prior["riding"] < 1.0
    mean = (prior["riding"] + prior["feeding"]) / 2
    assert value_and_prior(result, "mean_average_precision") == pytest.approx((1.0, mean))
    assert value_and_prior(result, "mean_average_precision_seen") == pytest.approx((1.0, prior["riding"]))
    assert value_and_prior(result, "mean_average_precision_unseen") == pytest.approx((1.0, prior["feeding"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unseen": ["swimming"]}, "has no predicate 'swimming'"),
        ({"unseen": "riding"}, r"unseen: give a list, e.g. unseen=\[riding\]"),
        ({"mask": True}, "mask: only HICO-DET's own 600 interactions can be masked"),
        ({"subject": "robot"}, "no relation has the subject 'robot'"),
    ],
)
def test_hico_refuses_what_it_cannot_measure(
    graphs_file: Path, options: dict[str, Any], message: str
) -> None:
    def measure() -> None:
        evaluator = HicoEvaluator(str(graphs_file), **options)
        gold = evaluator.read_gold("")
        evaluator.measure(gold.pairs, gold)

    with pytest.raises(ValueError, match=message):
        measure()


def test_labels_reports_the_prior_beside_each_number() -> None:
    # given riding on one image of each half, and a tagger that prefers feeding
    images = [image for image in (FIRST[0], SECOND[0]) for _ in range(2)]
    boxes = pa.table({"image_id": images, "box_id": [0, 1] * 2, "category": ["man", "horse"] * 2})
    keys = {"subject_box": [0, 0], "object_box": [1, 1]}
    gold = pa.table({"image_id": [FIRST[0], SECOND[0]], **keys, "predicate": ["riding"] * 2})
    wrong = pa.table({"image_id": [FIRST[0], SECOND[0]], **keys, "predicate": ["feeding"] * 2})
    scored = pa.concat_tables(
        [
            gold.append_column("score", pa.array([0.3, 0.3])),
            wrong.append_column("score", pa.array([0.6, 0.6])),
        ]
    )

    result = LabelsEvaluator(threshold=0.2).measure(scored, LabelsGold(gold, boxes))

    assert result.counts == {"gold": 2, "scored": 4}
    assert value_and_prior(result, "precision at 0.2") == (0.5, 1.0)
    assert value_and_prior(result, "best_f1") == pytest.approx((2 / 3, 1.0))
    assert result.classes == [
        {"predicate": "riding", "gold": 2, "average_precision": 1.0, "prior_average_precision": 1.0}
    ]
