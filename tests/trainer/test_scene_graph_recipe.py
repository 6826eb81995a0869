"""Scene-graph detection from VG150's files: SpeaQ trained on a split of theirs, and measured on another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from safetensors.torch import load_file

from relforge.cli.app import invoke
from relforge.demo.world.dataset import write_split
from relforge.models.checkpoint import load_model
from relforge.stages.export import export
from relforge.stages.export.vg150 import FILES
from relforge.stages.registry import build_source
from relforge.trainer import snapshots
from relforge.trainer.recipes import relations

SIZES = {"dim": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 2, "feedforward": 32, "dropout": 0.0}
BACKBONE = {"family": "swin", "embed_dim": 16, "depths": [1, 1, 1, 1], "heads": [1, 2, 2, 4], "window": 4}
ASSIGN = {"groups": 4, "multi": {"k": 4, "quality": "max", "predicate_weight": -0.5}, "predicate_copies": 2}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Options of the format for sixteen drawn images, of which the last quarter is the test split."""
    folder = tmp_path_factory.mktemp("vg150")
    drawn = write_split(folder, "vg-like", 16, size=64)
    shards = build_source("visual_genome", annotations=str(drawn / "scene_graphs.json")).shards(8)

    def tables() -> Iterator[dict[str, pa.Table]]:
        yield from (shard.tables for shard in shards)

    export("vg150", tables(), str(folder / "files"), test=0.25)
    names = ("annotations", "dictionary", "image_data")
    paths = dict(zip(names, (str(folder / "files" / name) for name in FILES), strict=True))
    return {**paths, "images": str(drawn / "images" / "{image_id:0>6}.jpg"), "val_images": 2}


@pytest.fixture
def recipe(files: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A recipe of four steps, as `configs/train/speaq_vg150.yaml` has them."""
    return {
        "out": str(tmp_path / "out"),
        "data": [{"format": "vg150", **files, "split": "train", "keep_empty": False}],
        "labels": "closed",
        "model": {"kind": "speaq", "sizes": SIZES, "backbone": BACKBONE},
        "steps": 4,
        "log_every": 1,
        "save_every": 2,
        "batch": {"size": 2, "short_sides": [48], "long_side": 64, "max_pairs": 24, "one_predicate": True},
        "assign": ASSIGN,
        "published": True,
    }


def test_a_stopped_training_ends_in_the_same_weights(
    recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = relations.main(recipe)
    stopped = recipe | {"out": recipe["out"] + "-stopped"}
    save = snapshots.save

    def save_and_stop(folder: Path, step: int, *rest: Any) -> None:
        save(folder, step, *rest)
        if step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(snapshots, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        relations.main(stopped)
    monkeypatch.setattr(snapshots, "save", save)
    again = relations.main(stopped)

    one, two = (load_file(folder / "model.safetensors") for folder in (whole, again))
    assert all((one[name] == two[name]).all() for name in one)
    logs = [Path(out, "log.jsonl").read_text() for out in (recipe["out"], stopped["out"])]
    assert logs[0] == logs[1]
    assert load_model(whole).blueprint.kind == "speaq"


def test_what_it_detects_in_the_test_split_is_measured(
    recipe: dict[str, Any], files: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    model = relations.main(recipe | {"steps": 1})
    capsys.readouterr()
    options = [f"{name}={value}" for name, value in files.items()]

    code = invoke(["eval", "vg_sgg", str(model), *options, "short_side=48", "long_side=64", "--json"])

    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert found["counts"]["images"] == 4
    assert found["counts"]["images without predictions"] == 0
    # at most one relation for each of 48 predicate queries
    assert 0 < found["counts"]["predictions"] <= 4 * 48
    assert found["options"]["prior"] == "training set"
    assert {"R@50", "ng-mR@20", "zR@100"} <= set(found["measures"])
