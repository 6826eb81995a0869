"""`relforge plan --measure`: what a run would take, from a few of its images."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml


def test_a_few_images_are_made_and_thrown_away(relforge, config: Path) -> None:
    values = yaml.safe_load(config.read_text())
    values["stages"]["caption"] |= {"wait": 0.3, "resources": {"num_gpus": 1, "actors": 3}}
    config.write_text(yaml.safe_dump(values))

    said = relforge("plan", config, "--measure", 2, "--json")

    found = said.json["estimate"]
    stages = {stage["stage"]: stage for stage in found["stages"]}
    assert (found["measured"], found["images"], found["shards"]) == (2, 10, 3)
    assert list(stages) == ["ingest", "caption", "parse", "match", "tag", "select"]
    caption = stages["caption"]
    assert caption["image_seconds"] >= 0.15
    assert caption["hours"] == pytest.approx(caption["image_seconds"] * 10 / 3600)
    assert caption["gpu_hours"] == pytest.approx(caption["hours"])
    assert caption["workers"] == 3
    assert stages["parse"]["gpu_hours"] == 0
    assert not (config.parent / "run").exists()


def test_the_table_says_which_stage_sets_the_pace_and_what_is_assumed(relforge, config: Path) -> None:
    said = relforge(
        "plan", config, "stages.caption.wait=0.3", "stages.caption.resources.actors=1", "--measure", 4
    )

    assert "10 images in 3 shards, estimated" in said.out
    assert "caption sets the pace: about" in said.out
    assert "Assumed: images like the first 4" in said.out


def test_a_dataset_without_images_cannot_be_measured(relforge, config: Path, source) -> None:
    source(images=0)

    said = relforge("plan", config, "--measure", 4)

    assert said.code == 64
    assert "has no image, so there is nothing to measure" in said.err
