"""`relforge label`: one image with boxes of its own, or of a detector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from relforge.images import decode
from relforge.models.object_detector import detect_objects
from tests.models.test_transformers_detectors import build

BOXES = [
    {"category": "person", "bbox": [10, 5, 40, 60]},
    {"category": "horse", "bbox": [5, 30, 80, 60]},
]


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image in a folder of a difficult name, and boxes.json beside it; the command runs elsewhere."""
    folder = tmp_path / "my {photos}, 2"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "ride.png")
    (folder / "boxes.json").write_text(json.dumps(BOXES))
    return folder / "ride.png"


def test_the_relations_of_an_image_are_printed_and_drawn(relforge: Any, image: Path) -> None:
    said = relforge(
        "label", image, "--boxes", image.with_name("boxes.json"), "--caption", "a man riding a horse"
    )

    assert said.code == 0, said.err
    assert said.out.splitlines()[0] == "2 boxes, 1 captions, 1 relations"
    assert "  person#0 riding horse#1" in said.out
    assert '("a man riding a horse")' in said.out
    page = Path("ride.relations.html").read_text()
    assert "data:image/" in page
    assert "riding" in page


def test_a_coco_file_gives_the_boxes_of_its_image(relforge: Any, image: Path) -> None:
    coco = {
        "images": [{"id": 7, "file_name": "other.png"}, {"id": 8, "file_name": "x/ride.png"}],
        "categories": [{"id": 3, "name": "person"}, {"id": 4, "name": "horse"}],
        "annotations": [
            {"image_id": 8, "category_id": 3, "bbox": [10, 5, 40, 60]},
            {"image_id": 8, "category_id": 4, "bbox": [5, 30, 80, 60]},
            {"image_id": 7, "category_id": 4, "bbox": [1, 1, 2, 2]},
        ],
    }
    file = image.with_name("coco.json")
    file.write_text(json.dumps(coco))

    said = relforge("label", image, "--boxes", file, "--caption", "a man rides a horse", "--json").json

    assert [box["category"] for box in said["boxes"]] == ["person", "horse"]
    assert [one["subject"] for one in said["relations"]] == ["person#0"]
    assert said["relations"][0]["captions"] == ["a man rides a horse"]


def test_an_image_without_relations_says_why(relforge: Any, image: Path) -> None:
    said = relforge(
        "label", image, "--boxes", image.with_name("boxes.json"), "--caption", "a kite in the sky"
    )

    assert said.code == 0
    assert "no caption states a relation between two of the boxes (person, horse): " in said.out
    assert '"a kite in the sky"' in said.out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[1", "is no JSON"),
        ("{}", "expected a list of boxes"),
        ("[]", "has no box"),
        ('[{"bbox": [1, 2, 3, 4]}]', "box 0 has no category"),
        ('[{"category": "dog", "bbox": [1, 2, "3", 4]}]', "box 0: bbox is [1, 2, '3', 4]"),
        ('[{"category": "dog", "bbox": [1, 2, 0, 4]}]', "has no area"),
    ],
)
def test_boxes_that_are_none_are_refused(relforge: Any, image: Path, content: str, sentence: str) -> None:
    file = image.with_name("wrong.json")
    file.write_text(content)

    said = relforge("label", image, "--boxes", file, "--caption", "a dog")

    assert said.code == 64
    assert sentence in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give the boxes of the image"),
        (["--detect", "nowhere/x.pth"], "no such file or folder"),
        (["--detect", "{folder}"], "holds no model files"),
    ],
)
def test_no_boxes_or_no_detector_is_one_sentence(
    relforge: Any, image: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    said = relforge("label", image, *(one.format(folder=tmp_path / "elsewhere") for one in arguments))

    assert said.code == 64
    assert sentence in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("kind", ["detr", "plain"])
def test_a_detector_finds_what_its_queries_say(image: Path, tmp_path: Path, kind: str) -> None:
    network = build(kind)
    network.save_pretrained(tmp_path / "detector")
    size = {"size": {"height": 64, "width": 64}, "do_normalize": False}
    (tmp_path / "detector" / "preprocessor_config.json").write_text(json.dumps(size))
    pixels = decode(image.read_bytes())

    found = detect_objects(str(tmp_path / "detector"), pixels, threshold=0.0, device="cpu")

    square = np.array(Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR))
    with torch.inference_mode():
        output = network(torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255)
    chances = output.logits[0].softmax(-1)[:, :-1] if kind == "detr" else output.logits[0].sigmoid()
    best = int(chances.max(-1).values.argmax())
    assert found[0].score == pytest.approx(float(chances[best].max()), abs=1e-5)
    assert found[0].category == network.config.id2label[int(chances[best].argmax())]
    x, y, w, h = (float(one) for one in output.pred_boxes[0, best])
    sides = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    corners = sides.clip(0, 1) * [128, 96, 128, 96]
    left, top, width, height = found[0].xywh
    assert [left, top, left + width, top + height] == pytest.approx(list(corners), abs=1e-3)


def test_a_detector_gives_the_boxes_that_are_labelled(relforge: Any, image: Path, tmp_path: Path) -> None:
    network = build("detr")
    network.save_pretrained(tmp_path / "detector")
    size = {"size": {"height": 64, "width": 64}}
    (tmp_path / "detector" / "preprocessor_config.json").write_text(json.dumps(size))

    detector = ("--detect", tmp_path / "detector", "--min-score", 0.01)
    said = relforge("label", image, *detector, "--caption", "a dog", "--json")

    assert said.code == 0, said.err
    assert said.json["boxes"]
    assert all(0.01 <= box["score"] <= 1 for box in said.json["boxes"])
