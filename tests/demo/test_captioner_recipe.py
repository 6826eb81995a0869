"""The shipped captioner: its recipe learns as recorded, and what it says of a picture is partly true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from relforge.demo.world.dataset import write_split
from relforge.trainer.recipes import blip

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "train" / "world_blip.yaml"
SEEING, SAYING = (16.41, 10.37), (13.97, 10.90)
"""Losses of the run below as recorded, of either part: of its first step, and the mean of its last three."""


def test_a_short_training_lowers_the_losses_as_recorded(tmp_path: Path) -> None:
    # given the shipped recipe on a few small pictures
    drawn = write_split(tmp_path, "caption", 24)
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe |= {"out": str(tmp_path / "out"), "seeing_steps": 10, "steps": 10, "log_every": 1}
    recipe["data"] = {
        "captions": str(drawn / "captions.json"),
        "images": str(drawn / "images"),
        "boxes": str(drawn / "instances.json"),
    }
    recipe["model"]["vision"] |= {"image_size": 48}
    recipe["batch"] |= {"size": 4}
    recipe["optimisation"] |= {"warm_up": 2}

    blip.main(recipe)

    for part, (first, last) in (("seeing", SEEING), (".", SAYING)):
        log = (tmp_path / "out" / part / "log.jsonl").read_text().splitlines()
        losses = [json.loads(line)["total"] for line in log]
        assert losses[0] == pytest.approx(first, rel=0.03)
        assert sum(losses[-3:]) / 3 == pytest.approx(last, rel=0.07)
        assert last < 0.9 * first
