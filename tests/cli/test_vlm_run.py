"""A run without captions: proposals and judgements by a model, seen wherever stages and tables are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from relforge.demo.world.dataset import write_split
from tests.fixtures.vlm_servers import Scripted, completion, listening, say

pytest.importorskip("openai", reason="pip install 'relforge[vlm]'")


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """The first object of a list holds the second; judges get the scripted yes."""
    if "These objects are in the image" not in json.dumps(body):
        return say(body)
    relation = {"subject": 1, "predicate": "holding", "object": 2}
    return completion(json.dumps({"relations": [relation, relation | {"object": 99}]}))


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    drawn = write_split(tmp_path / "world", "detection", 4, seed=0)
    with listening(Scripted(answer).handle) as port:
        asked = {"backend": "vlm", "model": "tiny", "endpoint": f"http://127.0.0.1:{port}/v1"}
        values = {
            "dataset": {
                "name": "world",
                "split": "detection",
                "format": "visual_genome",
                "annotations": str(drawn / "scene_graphs.json"),
                "images": str(drawn / "images" / "{image_id:0>6}.jpg"),
            },
            "run": {"folder": str(tmp_path / "run"), "shard_images": 2},
            "stages": {
                "propose": {**asked, "schema": "prompt"},
                "tag": {**asked, "view": "crop"},
                "select": {"backend": "select"},
            },
        }
        config = tmp_path / "vlm.yaml"
        config.write_text(yaml.safe_dump(values, sort_keys=False))
        yield config


@pytest.mark.slow
def test_proposals_and_judgements_go_through_a_run(relforge: Any, config: Path, tmp_path: Path) -> None:
    said = relforge("run", config, "--executor", "loop")
    assert said.code == 0, said.err
    run = tmp_path / "run"
    stages = {stage["stage"]: stage for stage in relforge("status", run, "--json").json["stages"]}
    assert list(stages) == ["ingest", "propose", "tag", "select"]
    relations = relforge("inspect", run, "--table", "relations", "--json").json
    assert relations
    assert {(row["predicate"], row["rule"]) for row in relations} == {("holding", "vlm")}
    assert all(row["tagger"].startswith("vlm:tiny@") for row in relations)
    assert relforge("inspect", run, "--table", "tag_answers", "--json").json[0]["p_mass"] > 0.5
    assert relforge("report", run).code == 0
    assert "holding" in (run / "report.html").read_text()
    image = relations[0]["image_id"]
    assert relforge("inspect", run, "--image", image).code == 0
    exported = tmp_path / "out"
    assert relforge("export", run, "--to", "coco", "--out", exported).code == 0
    # nothing is asked again by a run of the same folder
    assert relforge("run", config, "--executor", "loop").code == 0
