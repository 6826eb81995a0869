"""DEFR at detection: pairs of a detector's boxes, masked, scored and judged by HICO-DET's measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from relforge.evaluation.detected_boxes import DETECTED, DetectedBoxes, read_detected
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import load_model, save_model
from relforge.models.defr.sizes import Sizes
from tests.cli.conftest import Relforge

PAIRS = (("hold", "apple"), ("eat", "apple"), ("hug", "person"))
SIZES = Sizes(image=32, patch=8, width=16, layers=1, heads=2, feedforward=16, log_scale=1.0)
BOXES = [
    ("1", "person", 0, 0, 10, 20, 0.9),
    ("1", "person", 1, 0, 10, 20, 0.8),  # overlaps the first: suppressed
    ("1", "person", 20, 0, 20, 20, 0.5),
    ("1", "apple", 10, 5, 8, 8, 0.7),
    ("1", "kite", 10, 5, 8, 8, 0.7),  # no interaction has it
    ("1", "apple", 30, 5, 8, 8, 0.1),  # too unsure
]


def write_boxes(folder: Path, rows: list[tuple[Any, ...]] = BOXES) -> Path:
    columns = [dict(zip(DETECTED.names, row, strict=True)) for row in rows]
    pq.write_table(pa.Table.from_pylist(columns, schema=DETECTED), folder / "boxes.parquet")
    return folder / "boxes.parquet"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """One image of 40 x 20 pixels, its annotation, a model of random weights, and detected boxes."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (20, 40, 3), np.uint8)).save(tmp_path / "1.png")
    objects = [
        {"object_id": n, "names": [name], "x": x, "y": y, "w": w, "h": h}
        for n, (_, name, x, y, w, h, _) in enumerate(BOXES[:4])
        if n != 1
    ]
    relation = {"relationship_id": 1, "predicate": "eat", "subject_id": 0, "object_id": 3}
    graph = {"image_id": 1, "width": 40, "height": 20, "objects": objects, "relationships": [relation]}
    (tmp_path / "graphs.json").write_text(json.dumps([graph]))
    torch.manual_seed(0)
    blueprint = Blueprint("defr", SIZES, None, None, ("apple", "person"), ("eat", "hold", "hug"), PAIRS)
    save_model(tmp_path / "model", blueprint.build(None), blueprint, None)
    write_boxes(tmp_path)
    return tmp_path


def evaluate(world: Path, relforge: Relforge, *options: str) -> list[dict[str, Any]]:
    saved = world / "found.parquet"
    said = relforge(
        "eval",
        "hico",
        world / "model",
        f"annotations={world / 'graphs.json'}",
        f"images={world}/{{image_id}}.png",
        f"boxes={world / 'boxes.parquet'}",
        "protocol=plain",
        *options,
        "--json",
        "--save",
        saved,
    )
    assert said.code == 0, said.err
    assert said.json["counts"]["gold"] == 1
    rows: list[dict[str, Any]] = pq.read_table(saved).to_pylist()
    return rows


def test_every_pair_is_scored_for_the_interactions_of_its_object(world: Path, relforge: Relforge) -> None:
    rows = evaluate(world, relforge)

    found = sorted((r["subject_x"], r["predicate"], r["object"], r["object_x"]) for r in rows)
    assert found == [
        (0, "eat", "apple", 10),
        (0, "hold", "apple", 10),
        (0, "hug", "person", 20),
        (20, "eat", "apple", 10),
        (20, "hold", "apple", 10),
        (20, "hug", "person", 0),
    ]


def test_scores_are_logarithms_of_the_masked_probability_and_the_weighted_box_scores(
    world: Path, relforge: Relforge
) -> None:
    rows = evaluate(world, relforge, "powers=[2,3,0.5]")
    (row,) = [r for r in rows if (r["subject_x"], r["predicate"]) == (0, "eat")]

    model: Any = load_model(world / "model").model
    from relforge.images.resize import resize

    pixels = np.asarray(Image.open(world / "1.png"))
    image = resize(pixels, 32, 32, "bilinear").float()[None] / 255
    boxes = torch.tensor([[[0.0, 0, 10, 20], [10, 5, 18, 13]]]) * torch.tensor([0.8, 1.6, 0.8, 1.6])
    with torch.no_grad():
        logit = model.pair_logits((image - 0.5) / 0.5, boxes, torch.tensor([0]))[0, 1]
    expected = 2 * np.log(0.9) + 3 * np.log(0.7) + 0.5 * float(torch.nn.functional.logsigmoid(logit))
    assert row["score"] == pytest.approx(expected, abs=1e-5)
    assert row["relation_score"] == pytest.approx(float(logit.sigmoid()), abs=1e-5)


@pytest.mark.parametrize(("mask", "hidden"), [("intended", True), ("released", False)])
def test_pixels_outside_both_boxes_are_hidden_by_the_intended_mask_alone(
    world: Path, relforge: Relforge, mask: str, hidden: bool
) -> None:
    write_boxes(world, [BOXES[0], BOXES[3]])
    before = evaluate(world, relforge, f"box_mask={mask}")
    pixels = np.asarray(Image.open(world / "1.png")).copy()
    pixels[:, 32:] = 255  # four fifths of the width: the last column of patches
    Image.fromarray(pixels).save(world / "1.png")
    after = evaluate(world, relforge, f"box_mask={mask}")

    assert (before == after) is hidden


def test_boxes_are_also_read_from_cocos_results(tmp_path: Path) -> None:
    rows = [
        {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"file_name": "x/HICO_test2015_00000001.jpg", "category_id": 53, "bbox": [0, 0, 1, 1], "score": 1},
    ]
    (tmp_path / "results.json").write_text(json.dumps(rows))

    found = read_detected(str(tmp_path / "results.json"))

    assert found["7"].names == ["person"]
    assert found["7"].xyxy.tolist() == [[1, 2, 4, 6]]
    assert found["HICO_test2015_00000001"].names == ["apple"]
    rows[0]["category_id"] = 12
    (tmp_path / "results.json").write_text(json.dumps(rows))
    with pytest.raises(ValueError, match="no list of COCO results"):
        read_detected(str(tmp_path / "results.json"))


def test_at_most_so_many_people_and_others_are_paired() -> None:
    corner = np.arange(40.0)[:, None] * 100
    boxes = DetectedBoxes(
        ["person", "apple"] * 20, np.concatenate([corner, corner, corner + 10, corner + 10], 1), np.ones(40)
    )

    people, others = boxes.best("person", 0.2, 0.5, 15)

    assert (len(people), len(others)) == (15, 15)


def test_a_model_of_whole_images_needs_boxes(world: Path, relforge: Relforge) -> None:
    said = relforge(
        "eval", "hico", world / "model", f"annotations={world / 'graphs.json'}", f"images={world}"
    )

    assert said.code == 64
    assert "a defr model finds no boxes: say with boxes=FILE which a detector found" in said.err
