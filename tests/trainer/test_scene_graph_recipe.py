"""Scene-graph detection from VG150's files: SpeaQ trained on a split of theirs, and measured on another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from safetensors.torch import load_file

from relforge.cli.app import invoke
from relforge.demo.world.dataset import write_split
from relforge.models.blocks.published_names import unnamed
from relforge.models.checkpoint import load_model, save_model
from relforge.stages.export import export
from relforge.stages.export.vg150 import FILES
from relforge.stages.registry import build_source
from relforge.trainer.recipes import relations
from tests.fixtures.stopping import stopped_after

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


def recipe(files: dict[str, Any], out: Path) -> dict[str, Any]:
    """A recipe of four steps like `configs/train/speaq_vg150.yaml`; the names are the dictionary's."""
    names = json.loads(Path(files["dictionary"]).read_text())
    mine = {"classes": list(names["label_to_idx"]), "predicates": list(names["predicate_to_idx"])}
    (out / "mine.yaml").write_text(json.dumps(mine))
    return {
        "out": str(out / "out"),
        "data": [{"format": "vg150", **files, "split": "train", "keep_empty": False}],
        "labels": str(out / "mine.yaml"),
        "model": {"kind": "speaq", "sizes": SIZES, "backbone": BACKBONE},
        "steps": 4,
        "log_every": 1,
        "save_every": 2,
        "batch": {"size": 2, "short_sides": [48], "long_side": 64, "max_pairs": 24, "one_predicate": True},
        "assign": ASSIGN,
        "published": True,
    }


@pytest.fixture(scope="module")
def model(files: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model after one step."""
    return relations.main(recipe(files, tmp_path_factory.mktemp("model")) | {"steps": 1})


def test_a_stopped_training_ends_in_the_same_weights(files: dict[str, Any], tmp_path: Path) -> None:
    settings = recipe(files, tmp_path)
    whole = relations.main(settings)
    stopped = settings | {"out": settings["out"] + "-stopped"}
    with stopped_after(2):
        relations.main(stopped)
    again = relations.main(stopped)

    one, two = (load_file(folder / "model.safetensors") for folder in (whole, again))
    assert all((one[name] == two[name]).all() for name in one)
    logs = [Path(out, "log.jsonl").read_text() for out in (settings["out"], stopped["out"])]
    assert logs[0] == logs[1]
    assert load_model(whole).blueprint.kind == "speaq"


def measured(model: Path, files: dict[str, Any], capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    """The printed result of `relforge eval vg_sgg` on the test split."""
    capsys.readouterr()
    options = [f"{name}={value}" for name, value in files.items()]
    assert (
        invoke(["eval", "vg_sgg", str(model), *options, "short_side=48", "long_side=64", *more, "--json"])
        == 0
    )
    return json.loads(capsys.readouterr().out)


def test_what_it_detects_in_the_test_split_is_measured(
    model: Path, files: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(model, files, capsys)

    assert found["counts"]["images"] == 4
    assert found["counts"]["images without predictions"] == 0
    # at most one relation for each of 48 predicate queries
    assert 0 < found["counts"]["predictions"] <= 4 * 48
    assert found["options"]["prior"] == "training set"
    assert {"R@50", "ng-mR@20", "zR@100"} <= set(found["measures"])


def test_labels_without_names_are_those_of_the_dictionary_in_order(
    model: Path, files: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load_model(model)
    published = replace(  # as a file of the authors is read
        loaded.blueprint,
        classes=unnamed("class", len(loaded.blueprint.classes)),
        relations=unnamed("relation", len(loaded.blueprint.relations)),
    )
    save_model(tmp_path / "nameless", loaded.model, published, None)

    named, nameless = (measured(one, files, capsys) for one in (model, tmp_path / "nameless"))

    assert nameless == named


def test_more_predicates_of_a_query_and_more_boxes_give_more_relations(
    model: Path, files: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    few, two, all_boxes = (
        measured(model, files, capsys, *more)["counts"]["predictions"]
        for more in ([], ["predicates=2"], ["max_overlap=null"])
    )

    assert two > few
    assert all_boxes >= few
