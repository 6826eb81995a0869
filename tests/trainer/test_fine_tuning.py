"""Fine-tuning on the files of HICO-DET, V-COCO and Open Images: it starts, stops, continues and fits."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from relforge.demo.world.benchmarks import PREDICATES
from relforge.demo.world.dataset import write_split
from relforge.models.checkpoint import load_model
from relforge.trainer.recipes import relations
from tests.fixtures.stopping import stopped_after

AUGMENTED = {"jitter": 0.4, "crop": 0.5, "crop_short_sides": [56, 64], "crop_sides": [48, 64]}


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The drawn world's training files of every benchmark, as entries of `data`."""
    split = write_split(tmp_path_factory.mktemp("world"), "hoi", 32, size=64)
    of = {
        "hico": {"annotations": "hico/trainval_hico.json", "vocabulary": "hico/corre_hico.json"},
        "vcoco": {
            "annotations": "vcoco/vcoco_trainval.json",
            "instances": "vcoco/instances_vcoco_all_2014.json",
        },
        "open_images": {
            "annotations": "open_images/OI_SGG_train.json",
            "categories": "open_images/OI_SGG_trainval_test_categories_dict.json",
        },
    }
    return {
        name: {"format": name, "images": str(split / "images")}
        | {key: str(split / path) for key, path in files.items()}
        for name, files in of.items()
    }


@pytest.fixture
def recipe(settings: dict[str, Any]) -> dict[str, Any]:
    settings["model"]["kind"] = "parsed"
    settings["batch"] |= AUGMENTED
    return settings | {
        "labels": "closed",
        "losses": {"relations": "quality", "pseudo": False},
        "save_every": 2,
    }


@pytest.mark.slow
def test_a_stopped_fine_tuning_continues_to_the_same_bytes(
    recipe: dict[str, Any],
    entries: dict[str, dict[str, Any]],
    tmp_path: Path,
) -> None:
    # given a few-shot run from a pre-trained model, and the same stopped after its second step
    start = relations.main(recipe | {"out": str(tmp_path / "pre"), "steps": 1})
    drawn = {"share": 0.5, "seed": 1, "list": str(tmp_path / "list.json")}
    recipe |= {
        "data": [entries["hico"] | {"few_shot": drawn, "unseen": ["next to"]}],
        "model": {"start": str(start)},
    }
    whole = relations.main(recipe)
    stopped = deepcopy(recipe) | {"out": recipe["out"] + "-stopped"}
    with stopped_after(2):
        relations.main(stopped)

    # when it is called again
    resumed = relations.main(stopped)

    # then weights and curves are the same bytes
    assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes()
    curves = [Path(values["out"], "log.jsonl").read_bytes() for values in (recipe, stopped)]
    assert curves[0] == curves[1]
    assert "next to" in json.loads(Path(entries["hico"]["vocabulary"]).read_text())["verbs"].values()


@pytest.mark.parametrize(
    ("kind", "benchmark"),
    [("parsed", "hico"), ("parsed", "vcoco"), ("parsed", "open_images"), ("qahoi_rlipv2", "vcoco")],
)
def test_open_and_closed_families_train_on_every_benchmark(
    recipe: dict[str, Any], entries: dict[str, dict[str, Any]], benchmark: str, kind: str
) -> None:
    recipe["model"]["kind"] = kind
    if kind != "parsed":
        recipe["model"] = {"kind": kind, "backbone": recipe["model"]["backbone"]}
        recipe["model"]["sizes"] = {"dim": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
        recipe["losses"] = {}
    if benchmark == "vcoco":
        recipe["losses"] = {"relations": "focal"}
    loaded = load_model(relations.main(recipe | {"data": [entries[benchmark]], "steps": 1}))
    assert ("missing objects" in loaded.blueprint.classes) == (benchmark == "vcoco")
    assert len(loaded.blueprint.relations) == (29 if benchmark == "vcoco" else len(PREDICATES))
