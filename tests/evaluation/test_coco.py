"""`relforge eval coco`: COCO's own measure, of a list of results and of what a detector finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from relforge.evaluation.coco import CocoEvaluator
from relforge.evaluation.evaluator import Result
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import save_model
from relforge.models.zoo import DETECTORS, family


@pytest.fixture
def instances(tmp_path: Path) -> Path:
    """Two images with a person each, one of them with a dog and a crowd too."""
    (tmp_path / "images").mkdir()
    for number in (1, 2):
        Image.new("RGB", (64, 48), (90 * number, 40, 20)).save(tmp_path / "images" / f"{number}.jpg")
    boxes: list[dict[str, Any]] = [
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 40]},
        {"image_id": 1, "category_id": 18, "bbox": [10, 10, 20, 20]},
        {"image_id": 2, "category_id": 1, "bbox": [5, 5, 30, 30]},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 64, 48], "iscrowd": 1},
    ]
    for number, box in enumerate(boxes, 1):
        box |= {"id": number, "iscrowd": box.get("iscrowd", 0), "area": box["bbox"][2] * box["bbox"][3]}
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in (1, 2)]
    names = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    file = tmp_path / "instances.json"
    file.write_text(json.dumps({"images": images, "annotations": boxes, "categories": names}))
    return file


def measured(instances: Path, rows: list[dict[str, Any]]) -> Result:
    file = instances.with_name("results.json")
    file.write_text(json.dumps(rows))
    evaluator = CocoEvaluator(annotations=str(instances))
    gold = evaluator.read_gold(str(file))
    return evaluator.measure(evaluator.read_detections(str(file), gold), gold)


def row(image: int, category: int, box: list[float], score: float = 0.9) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


def test_the_gold_as_results_has_precision_one_and_a_missed_class_halves_it(instances: Path) -> None:
    people = [row(1, 1, [0, 0, 40, 40]), row(2, 1, [5, 5, 30, 30])]
    whole = measured(instances, [*people, row(1, 18, [10, 10, 20, 20])])
    assert whole.measures["average_precision"].value == pytest.approx(1)
    assert whole.counts == {"images": 2, "gold": 4, "detections": 3}
    part = measured(instances, people)
    assert part.measures["average_precision"].value == pytest.approx(0.5)
    assert part.classes == [
        {"class": "person", "gold": 3, "average_precision": pytest.approx(1)},
        {"class": "dog", "gold": 1, "average_precision": 0.0},
    ]


def test_a_loose_box_counts_at_the_low_thresholds_alone(instances: Path) -> None:
    found = measured(instances, [row(1, 18, [10, 10, 20, 29])])  # IoU 20 / 29
    assert found.measures["average_precision_50"].value == pytest.approx(0.5)  # of two classes
    assert found.measures["average_precision_75"].value == 0


def test_no_results_measure_zero(instances: Path) -> None:
    assert measured(instances, []).measures["average_precision"].value == 0


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_detectors_folder_detects_and_is_measured(instances: Path, tmp_path: Path, kind: str) -> None:
    sizes = family(kind).sizes(dim=64, heads=2, queries=6, encoder_layers=1, decoder_layers=1, feedforward=32)
    backbone = {"family": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1] * 4}
    blueprint = Blueprint(kind, sizes, backbone, None, ("people", "kite", "dog"))
    torch.manual_seed(0)
    save_model(tmp_path / "model", blueprint.build(None), blueprint, None)
    evaluator = CocoEvaluator(str(instances), str(tmp_path / "images"), short_side=48, long_side=64)
    gold = evaluator.read_gold(str(tmp_path / "model"))
    detections = evaluator.read_detections(str(tmp_path / "model"), gold)
    assert {one["image_id"] for one in detections} <= {1, 2}
    assert {one["category_id"] for one in detections} <= {1, 18}  # kites are no class of these annotations
    assert len(detections) > 0
    assert 0 <= evaluator.measure(detections, gold).measures["average_precision"].value <= 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[{}]", "expected a list of results with image_id, category_id, bbox, score"),
        ("nothing", "not a list of results in JSON"),
    ],
)
def test_other_files_are_refused(instances: Path, tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    evaluator = CocoEvaluator(annotations=str(instances))
    gold = evaluator.read_gold(str(tmp_path / "bad.json"))
    with pytest.raises(ValueError, match=sentence):
        evaluator.read_detections(str(tmp_path / "bad.json"), gold)


def test_results_of_other_images_are_refused(instances: Path) -> None:
    with pytest.raises(ValueError, match="no detection is of an image of"):
        measured(instances, [row(77, 1, [0, 0, 5, 5])])


def test_a_model_needs_images(instances: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="say with images=FOLDER what it detects in"):
        CocoEvaluator(annotations=str(instances)).read_gold(str(tmp_path / "model"))
