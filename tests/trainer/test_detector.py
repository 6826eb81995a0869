"""Detectors of boxes: the loss falls, a run continues, the folder starts pair detectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from relforge.cli.train import RECIPES
from relforge.data.boxes import load_boxes
from relforge.models.checkpoint import load_model
from relforge.models.zoo import DETECTORS
from relforge.trainer.recipes import detector, relations

SIZES = {"dim": 32, "heads": 2, "queries": 20, "encoder_layers": 1, "decoder_layers": 2, "feedforward": 48}
STARTS = {
    "detr": ("qpic", "cdn", "parse", "rlip_parse"),
    "deformable_detr": ("parsed_v1", "qahoi", "qahoi_rlipv2", "parsed", "rlip_parsed", "parseda"),
}
"""Detector -> families that start from it."""


@pytest.fixture
def of_boxes(settings: dict[str, Any], run_folder: Path) -> dict[str, Any]:
    """Settings of a detector on the boxes of the drawn run folder."""
    settings["data"] = [{"run": str(run_folder)}]
    settings["model"] = {"kind": "deformable_detr", "sizes": SIZES, "backbone": settings["model"]["backbone"]}
    settings["batch"] = {"size": 2, "short_sides": [48, 64], "long_side": 80}
    return settings


@pytest.mark.parametrize("kind", DETECTORS)
def test_every_detector_has_the_recipe_and_its_loss_falls(of_boxes: dict[str, Any], kind: str) -> None:
    of_boxes["model"]["kind"] = kind
    of_boxes["optimisation"] |= {"max_gradient_norm": 1.0}
    loaded = load_model(RECIPES.load(kind)(of_boxes | {"steps": 30}))
    assert loaded.blueprint.kind == kind
    assert "person" in loaded.blueprint.classes
    log = (Path(of_boxes["out"]) / "log.jsonl").read_text().splitlines()
    totals = [json.loads(line)["total"] for line in log]
    assert sum(totals[-5:]) < 0.95 * sum(totals[:5])


def test_a_detector_learns_from_every_image_with_boxes(run_folder: Path) -> None:
    data = load_boxes([{"run": str(run_folder)}])
    assert len(data) == 12
    assert not len(data.pairs)
    assert not data.predicates


@pytest.mark.parametrize(("detector_kind", "kind"), [(d, kind) for d in STARTS for kind in STARTS[d]])
def test_a_finished_detector_starts_the_families_of_its_line(
    of_boxes: dict[str, Any], settings: dict[str, Any], run_folder: Path, detector_kind: str, kind: str
) -> None:
    of_boxes["model"]["kind"] = detector_kind
    head = "class_head" if detector_kind == "detr" else "class_heads.0"
    start = detector.main(of_boxes | {"steps": 0})
    before = load_file(start / "model.safetensors")
    sizes: dict[str, Any] = {key: value for key, value in SIZES.items() if key != "queries"}
    sizes |= {"encoder_layers": 2} if kind == "rlip_parse" else {}
    sizes |= {"fusions": 1, "fusion_dim": 32, "language_heads": 1} if kind in {"parsed", "parseda"} else {}
    text = {"model_type": "roberta", "hidden_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 66}
    again = settings | {"out": settings["out"] + "-2", "steps": 0}
    again["data"] = [{"run": str(run_folder), "relations": "gold"}]
    again["batch"] = settings["batch"] | {"max_pairs": 6}
    again["model"] = {
        "kind": kind,
        "start": str(start),
        "sizes": sizes | ({"levels": 4} if kind == "qahoi" else {}),
    }
    if kind in {"parsed", "parseda", "rlip_parsed", "rlip_parse"}:
        again["model"]["text"] = text

    after = load_file(relations.main(again) / "model.safetensors")

    for part in ("backbone.", "encoder.layers."):
        names = [name for name in after if name.startswith(part) and name in before]
        assert names
        assert all(torch.equal(after[name], before[name]) for name in names)
    row = load_model(start).blueprint.classes.index("person")
    if "classifier.object_heads.0.weight" in after:
        place = load_model(Path(again["out"]) / "model").blueprint.classes.index("person")
        assert torch.equal(after["classifier.object_heads.0.weight"][place], before[f"{head}.weight"][row])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": {"box": 0.4}}, r"noise: a detector of boxes has none"),
        ({"batch": {"size": 2, "max_pairs": 4}}, r"batch\.max_pairs: a detector finds boxes"),
        ({"losses": {"weights": {"relations": 1}}}, r"losses\.weights\.relations: there is no such term"),
        ({"losses": {"relations": "focal"}}, r"unknown setting losses\.relations"),
    ],
)
def test_what_a_detector_does_not_read_is_refused(
    of_boxes: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        detector.main(of_boxes | change)


def test_the_recipe_of_pairs_refuses_a_detector(of_boxes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="deformable_detr finds boxes, no pairs"):
        relations.main(of_boxes)
