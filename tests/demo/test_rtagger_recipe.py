"""The shipped R-Tagger: its recipe trains as recorded, and the weights distinguish relations."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from relforge.demo.job import IMAGE_SIZE, WEIGHTS
from relforge.demo.world.dataset import write_split
from relforge.stages.registry import build, build_source
from relforge.stages.tables import SCHEMAS, conform
from relforge.trainer.recipes import relations

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "train" / "world_rtagger.yaml"
FIRST, LAST = 83.5, 44.1
"""Losses of the run below as recorded: of its first step, and the mean of its last four."""

BLANK = {
    "support": 1,
    "caption_ids": [0],
    "triplet_ids": [],
    "rule": "gold",
    "claim_id": 0,
    "alternatives": 1,
}
"""What a candidate holds of captions, where there are none."""


def test_a_short_training_lowers_the_loss_as_recorded(tmp_path: Path) -> None:
    # given the shipped recipe on a few small images
    drawn = write_split(tmp_path, "vg-like", 24)
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe |= {"out": str(tmp_path / "out"), "steps": 12, "log_every": 1}
    recipe["data"][0] |= {
        "annotations": str(drawn / "scene_graphs.json"),
        "images": str(drawn / "images" / "{image_id:0>6}.jpg"),
    }
    recipe["batch"] |= {"size": 4, "short_sides": [48], "long_side": 64}
    recipe["optimisation"] |= {"warmup_steps": 2}

    relations.main(recipe)

    losses = [json.loads(line)["total"] for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert losses[0] == pytest.approx(FIRST, rel=0.03)
    assert sum(losses[-4:]) / 4 == pytest.approx(LAST, rel=0.07)


def test_the_shipped_weights_tell_a_relation_from_its_reverse(tmp_path: Path) -> None:
    # given every true relation of a few images, and the same with subject and object exchanged
    drawn = write_split(tmp_path, "detection", 12, seed=5)
    images = str(drawn / "images" / "{image_id:0>6}.jpg")
    (shard,) = build_source(
        "visual_genome", annotations=str(drawn / "scene_graphs.json"), images=images
    ).shards(100)
    gold = [row for row in shard.tables["gold"].to_pylist() if row["predicate"] != "next to"]
    known = {(g["image_id"], g["subject_box"], g["object_box"], g["predicate"]) for g in gold}
    turned = [g | {"subject_box": g["object_box"], "object_box": g["subject_box"]} for g in gold]
    names = ("image_id", "subject_box", "object_box", "predicate")
    rows = [
        BLANK | {"position": place} | {name: g[name] for name in names}
        for place, g in enumerate([*gold, *turned])
    ]
    candidates = conform("candidates", pa.Table.from_pylist(rows, SCHEMAS["candidates"]))
    tagger = build("tag", "rtagger", model=str(WEIGHTS / "rtagger"), floor=0.0, threads=1, **IMAGE_SIZE)

    tagger.setup()
    scores = tagger.process({**shard.tables, "candidates": candidates}).tables["scores"].to_pylist()

    true: list[float] = []
    false: list[float] = []
    for row in scores:
        key = (row["image_id"], row["subject_box"], row["object_box"], row["predicate"])
        (true if key in known else false).append(row["score"])
    # recorded: 0.40 and 0.03
    assert sum(true) / len(true) > 4 * sum(false) / len(false)
