"""What one more family of pair detectors costs: under 150 lines, and no change of any shared file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.demo.world.dataset import write_split
from relforge.evaluation.hico import HicoEvaluator
from relforge.models.checkpoint import load_model
from relforge.trainer.recipes import relations
from tests.fixtures import ninth_family

KIND = "tests.fixtures.ninth_family:FAMILY"


@pytest.fixture
def recipe(settings: dict[str, Any]) -> dict[str, Any]:
    model = {"kind": KIND, "backbone": settings["model"]["backbone"]}
    return settings | {"model": model, "steps": 2}


def test_it_has_less_than_150_lines() -> None:
    assert len(Path(ninth_family.__file__).read_text().splitlines()) < 150


def test_it_trains_on_and_is_measured_as_the_families_of_the_zoo(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    folder = relations.main(recipe)
    log = [json.loads(line) for line in (Path(recipe["out"]) / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [0, 1]
    assert load_model(folder, trusted=KIND).blueprint.kind == KIND

    split = write_split(tmp_path, "vg-like", 4, size=64)
    benchmark = HicoEvaluator(
        str(split / "scene_graphs.json"),
        images=str(split / "images" / "{image_id:0>6}.jpg"),
        subject="any",
        short_side=64,
        long_side=80,
        kind=KIND,
    )
    gold = benchmark.read_gold(str(folder))
    found = benchmark.read_detections(str(folder), gold)
    result = benchmark.measure(found, gold)
    assert len(found) > 0
    assert set(result.measures) >= {"mean_average_precision"}
    assert all(0 <= measure.value <= 1 for measure in result.measures.values())


def test_its_own_part_learns(recipe: dict[str, Any]) -> None:
    before = load_model(relations.main(recipe | {"steps": 0}), trusted=KIND).model.state_dict()
    after = load_model(
        relations.main(recipe | {"out": f"{recipe['out']}-on", "steps": 1}), trusted=KIND
    ).model.state_dict()
    name = "relations.layer.self_attn.in_proj_weight"
    assert not torch.equal(before[name], after[name])
