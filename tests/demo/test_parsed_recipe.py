"""The shipped detector: its recipe learns as recorded, and the weights detect relations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from relforge.demo.job import IMAGE_SIZE, WEIGHTS
from relforge.demo.world.dataset import write_split
from relforge.evaluation.hico import HicoEvaluator
from relforge.trainer.recipes import relations

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "configs" / "train" / "world_parsed.yaml"
FIRST, LAST = 34.3, 22.8
"""Losses of the run below as recorded: of its first step, and the mean of its last four."""


def test_a_short_training_lowers_the_loss_as_recorded(tmp_path: Path) -> None:
    # given the shipped recipe on a few small images, gold alone
    drawn = write_split(tmp_path, "vg-like", 24)
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe |= {"out": str(tmp_path / "out"), "steps": 12, "log_every": 1}
    recipe["model"] |= {"start": str(WEIGHTS / "rtagger")}
    gold = recipe["data"][0]
    gold["annotations"] = str(drawn / "scene_graphs.json")
    gold["images"] = str(drawn / "images" / "{image_id:0>6}.jpg")
    recipe["data"] = [gold]
    recipe["batch"] |= {"size": 4, "short_sides": [48], "long_side": 64}
    recipe["optimisation"] |= {"warmup_steps": 2}

    relations.main(recipe)

    losses = [json.loads(line)["total"] for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert losses[0] == pytest.approx(FIRST, rel=0.03)
    assert sum(losses[-4:]) / 4 == pytest.approx(LAST, rel=0.07)


def test_the_shipped_weights_detect_pairs_in_images_outside_their_training(tmp_path: Path) -> None:
    drawn = write_split(tmp_path, "hoi", 24, seed=5)

    evaluator = HicoEvaluator(
        annotations=str(drawn / "scene_graphs.json"),
        images=str(drawn / "images" / "{image_id:0>6}.jpg"),
        protocol="plain",
        short_side=IMAGE_SIZE["short_side"],
        long_side=IMAGE_SIZE["long_side"],
    )
    target = str(WEIGHTS / "parsed")
    gold = evaluator.read_gold(target)
    result = evaluator.measure(evaluator.read_detections(target, gold), gold)

    # recorded: 0.163, of class frequencies alone 0.085
    found = result.measures["mean_average_precision"]
    assert found.prior is not None
    assert found.value > 1.5 * found.prior
