"""The published labelling function on one image (goldens g1b)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.tagger.engine import Engine
from relforge.tagger.published_groups import label_groups
from relforge.tagger.request import Request
from relforge.tagger.text_cache import TextFeatures

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stored(goldens: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((goldens / "g1b_tagger_pipeline.json").read_text())
    return content


@pytest.fixture(scope="module")
def engine(published_model: Any) -> Any:
    model = published_model("rtagger")
    model.encoder.mask_fusion = True  # nothing is padded here, so nothing changes
    yield Engine(model, TextFeatures(model.text_encoder, "0" * 64))
    model.encoder.mask_fusion = False


@pytest.fixture(scope="module")
def one_image(stored: dict[str, Any], images: Any) -> Request:
    names = {int(number): name for number, name in stored["coco_objects"].items()}
    return Request(
        image_id="139",
        pixels=images[0][0, :, :224, :288],
        boxes=torch.tensor(stored["boxes_cxcywh"]),
        labels=[names[number] for number in stored["labels_91"]],
        candidates=(),
        classes=[names[number] for number in sorted(names)],
    )


@pytest.mark.parametrize("groups_per_call", [2, 16])
@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.015])
def test_records_of_the_published_function(
    engine: Any, one_image: Request, stored: dict[str, Any], groups_per_call: int, threshold: float
) -> None:
    groups = [([tuple(pair) for pair in pairs], texts) for pairs, texts in stored["relation_candidates"]]
    (record,) = stored["outputs"][f"img_inference_batch={groups_per_call},threshold={threshold}"]
    first = record["objects"][0]["object_id"]
    expected = [
        ((row["subject_id"] - first, row["object_id"] - first), row["predicate"], row["confidence"])
        for row in record["relationships"]
    ]

    rows = label_groups(engine, one_image, groups, groups_per_call=groups_per_call, threshold=threshold)

    assert [(row.pair, row.text) for row in rows] == [(pair, text) for pair, text, _ in expected]
    for row, (_, _, confidence) in zip(rows, expected, strict=True):
        assert row.score == pytest.approx(confidence, abs=1e-5)
