"""The shipped R-Tagger: its recipe learns as recorded, and the shipped weights load and rank."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from relforge.demo.world.dataset import write_split
from relforge.trainer.recipes import rtagger

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "train" / "world_rtagger.yaml"
FIRST, LAST = 35.3, 28.8
"""Losses of the run below as recorded: of its first step, and the mean of its last four."""


def test_a_short_training_lowers_the_loss_as_recorded(tmp_path: Path) -> None:
    # given the shipped recipe on a few small pictures
    drawn = write_split(tmp_path, "vg-like", 24)
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe |= {"out": str(tmp_path / "out"), "steps": 12, "log_every": 1}
    recipe["data"][0] |= {
        "annotations": str(drawn / "scene_graphs.json"),
        "images": str(drawn / "images" / "{image_id:0>6}.jpg"),
    }
    recipe["batch"] |= {"size": 4, "short_sides": [48], "longest": 64}
    recipe["optimisation"] |= {"warm_up": 2}

    rtagger.main(recipe)

    losses = [json.loads(line)["total"] for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert losses[0] == pytest.approx(FIRST, rel=0.03)
    assert sum(losses[-4:]) / 4 == pytest.approx(LAST, rel=0.07)
