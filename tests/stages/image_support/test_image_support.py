"""A model of whole images beside candidates, and its use in selection."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from relforge.images.resize import resize
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import load_model, save_model
from relforge.models.defr.sizes import Sizes
from relforge.stages.image_support.stage import ImageSupportStage
from relforge.stages.select.stage import SelectStage
from relforge.stages.tables import SCHEMAS

PAIRS = (("ride", "horse"), ("eat", "apple"))
SIZES = Sizes(image=16, patch=8, width=16, layers=1, heads=2, feedforward=16, log_scale=1.0)
BOXES = ("person", "horse", "apple")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    blueprint = Blueprint("defr", SIZES, None, None, ("apple", "horse"), ("eat", "ride"), PAIRS)
    save_model(tmp_path / "model", blueprint.build(None), blueprint, None)
    return tmp_path / "model"


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def tables(claims: list[tuple[str, int, str, int]], images: dict[str, bytes]) -> dict[str, pa.Table]:
    size = {"dataset": "d", "split": "s", "width": 30, "height": 20}
    boxes = [
        {"image_id": image, "box_id": number, "category": name, "iscrowd": False, "source_id": ""}
        | {"x": 0.0, "y": 0.0, "w": 5.0, "h": 5.0}
        for image in images
        for number, name in enumerate(BOXES)
    ]
    scored = []
    for image, subject, predicate, object_ in claims:
        row: dict[str, Any] = {"image_id": image, "subject_box": subject, "predicate": predicate}
        row |= {"object_box": object_, "position": 0, "support": 1, "caption_ids": [], "triplet_ids": []}
        scored.append(
            row | {"rule": "head|head", "score": 0.8, "tagger": "test", "claim_id": 0, "alternatives": 1}
        )
    return {
        "images": pa.Table.from_pylist(
            [{"image_id": image, "bytes": data} | size for image, data in images.items()],
            schema=SCHEMAS["images"],
        ),
        "boxes": pa.Table.from_pylist(boxes, schema=SCHEMAS["boxes"]),
        "candidates": pa.Table.from_pylist(
            [{k: v for k, v in row.items() if k not in ("score", "tagger")} for row in scored],
            schema=SCHEMAS["candidates"],
        ),
        "scores": pa.Table.from_pylist(scored, schema=SCHEMAS["scores"]),
    }


def test_a_candidate_has_the_models_probability_of_its_interaction_in_the_image(model: Path) -> None:
    given = tables(
        [("a", 0, "riding", 1), ("a", 0, "rides", 1), ("a", 1, "eating", 2), ("a", 0, "next to", 1)],
        {"a": png()},
    )

    stage = ImageSupportStage(str(model), temperature=2.0, device="cpu")
    result = stage.process(given)

    rows = {row["predicate"]: row["support_image"] for row in result.tables["image_support"].to_pylist()}
    network: Any = load_model(model).model
    pixels = np.asarray(Image.open(io.BytesIO(png())))
    square = resize(pixels, 16, 16, "bicubic").float()[None] / 255
    with torch.no_grad():
        logit = network((square - 0.5) / 0.5)[0, 0]
    assert rows["riding"] == pytest.approx(float((logit / 2).sigmoid()), abs=1e-5)
    assert set(rows) == {"riding", "rides"}
    assert rows["riding"] == rows["rides"]
    assert (result.kept, result.dropped) == (2, {"not_a_person": 1, "not_in_vocabulary": 1})


def test_candidates_of_an_image_that_cannot_be_read_are_set_aside(model: Path) -> None:
    given = tables([("a", 0, "riding", 1), ("b", 0, "riding", 1)], {"a": b"no image", "b": png()})

    result = ImageSupportStage(str(model), device="cpu").process(given)

    assert [one.record["image_id"] for one in result.quarantined] == ["a"]
    assert result.tables["image_support"]["image_id"].to_pylist() == ["b"]


def select(given: dict[str, pa.Table], support: float, **options: Any) -> tuple[list[float], dict[str, int]]:
    rows = given["scores"].select(["image_id", "subject_box", "object_box", "predicate"]).slice(0, 1)
    column = pa.array([support], pa.float32())
    result = SelectStage(**options).process(
        given | {"image_support": rows.append_column("support_image", column)}
    )
    return result.tables["relations"]["score"].to_pylist(), result.dropped


def test_selection_weighs_the_support_and_drops_what_is_below_the_floor() -> None:
    given = tables([("a", 0, "riding", 1), ("a", 0, "patting", 1)], {"a": png()})

    assert SelectStage().inputs == ("scores", "images", "boxes")
    assert SelectStage(support_image=0.5).inputs == ("scores", "images", "boxes", "image_support")
    # 0.8^0.5 * 0.02^0.5 is 0.126, below the threshold; the other candidate has no support and stays
    kept, dropped = select(given, 0.02, support_image=0.5)
    assert (len(kept), dropped) == (1, {"below_threshold": 1})
    kept, dropped = select(given, 0.9, support_image=0.5, support_floor=0.1)
    assert (len(kept), dropped) == (2, {})
    kept, dropped = select(given, 0.05, support_floor=0.1)
    assert (len(kept), dropped) == (1, {"below_support_floor": 1})
    with pytest.raises(ValueError, match=r"select.support_image: 2 is not between 0 and 1"):
        SelectStage(support_image=2)
