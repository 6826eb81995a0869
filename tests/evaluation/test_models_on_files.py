"""Models measured on the benchmarks' own files, and their detections kept as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.cli.app import invoke
from relforge.data.hoi_sources import load_hoi
from relforge.demo.world.dataset import write_split
from relforge.models.zoo import family
from relforge.trainer.recipes import relations
from tests.fixtures.training import run_folder, settings

__all__ = ["run_folder", "settings"]

SIDES = ["short_side=48", "long_side=64"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_split(tmp_path_factory.mktemp("world"), "hoi", 12, size=64, look_alikes=0.0)


def files(world: Path, benchmark: str) -> tuple[dict[str, Any], list[str]]:
    """Entry of the training data, and options of the evaluation on the test split."""
    images, folder = str(world / "images"), str(world / benchmark)
    if benchmark == "hico":
        shared = {"vocabulary": f"{folder}/corre_hico.json"}
        names = ("trainval_hico.json", "test_hico.json")
    elif benchmark == "vcoco":
        shared = {"instances": f"{folder}/instances_vcoco_all_2014.json"}
        names = ("vcoco_trainval.json", "vcoco_test.json")
    else:
        shared = {"categories": f"{folder}/OI_SGG_trainval_test_categories_dict.json"}
        names = ("OI_SGG_train.json", "OI_SGG_test.json")
    train = {"format": benchmark, "annotations": f"{folder}/{names[0]}", "images": images} | shared
    options = [f"{key}={value}" for key, value in shared.items()]
    return train, ["--data", f"{folder}/{names[1]}", "--images", images, *options]


def measured(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert invoke(["eval", *arguments, "--json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def model(world: Path, settings: dict[str, Any], request: pytest.FixtureRequest) -> Path:
    """A model of some kind that was trained one step on a benchmark's files; made once."""
    benchmark, kind = request.param
    if (benchmark, kind) not in MADE:
        settings["model"]["kind"] = kind
        if family(kind).labels == "closed":
            settings["model"]["sizes"] = {"dim": 64, "heads": 2, "encoder_layers": 1, "decoder_layers": 2}
            settings["model"].pop("text")
        train, _ = files(world, benchmark)
        MADE[benchmark, kind] = relations.main(settings | {"data": [train], "steps": 1})
    return MADE[benchmark, kind]


MADE: dict[tuple[str, str], Path] = {}
KINDS = [("hico", "parsed"), ("hico", "parsed_v1"), ("vcoco", "qahoi"), ("open_images", "parsed")]


@pytest.mark.parametrize("model", KINDS, indirect=True, ids=" ".join)
def test_a_model_and_its_saved_detections_measure_the_same(
    world: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    benchmark = request.node.callspec.params["model"][0]
    _, options = files(world, benchmark)
    capsys.readouterr()
    saved = tmp_path / "saved.parquet"
    first = measured([benchmark, str(model), *options, *SIDES, "--save", str(saved)], capsys)
    again = measured([benchmark, str(saved), *options], capsys)
    assert first["counts"]["detections"] > 0
    assert first["measures"].keys() == again["measures"].keys()
    for name, one in first["measures"].items():
        assert again["measures"][name]["value"] == pytest.approx(one["value"], abs=1e-9)
        assert again["measures"][name]["prior"] == pytest.approx(one["prior"], abs=1e-9)
        assert "prior" in one
    assert again["counts"] == first["counts"]


@pytest.mark.parametrize("model", [("hico", "parsed")], indirect=True)
def test_a_saved_table_has_the_scores_of_each_part(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, options = files(world, "hico")
    capsys.readouterr()
    saved = tmp_path / "saved.parquet"
    stored = measured(["hico", str(model), *options, *SIDES, "--save", str(saved)], capsys)
    product = measured(["hico", str(saved), *options, "score=relation*object"], capsys)
    assert product["measures"] == stored["measures"]
    masked = measured(["hico", str(model), *options, *SIDES, "mask=true", "nms=[]", "top=100"], capsys)
    assert (masked["options"]["mask"], masked["options"]["nms"]) == (True, "none")


@pytest.mark.parametrize("model", [("hico", "parsed")], indirect=True)
def test_an_unseen_interaction_is_reported_apart(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, options = files(world, "hico")
    loaded = load_hoi({**data, "annotations": data["annotations"].replace("trainval", "test")}, 10**6)
    code = loaded.relations[0]
    name = loaded.predicates[code]
    pair = f"[[{name}, {loaded.categories[loaded.object_categories()[0]]}]]"
    capsys.readouterr()
    shown = {loaded.predicates[one] for one in loaded.relations}
    absent = next(verb for verb in loaded.predicates if verb not in shown)  # in the vocabulary alone
    pair = f"[{absent}, {pair[1:-1]}]"
    found = measured(["hico", str(model), *options, *SIDES, f"unseen={pair}"], capsys)
    unseen = [row for row in found["classes"] if row["unseen"]]
    assert {row["predicate"] for row in unseen if row["gold"]} == {name}
    assert {row["predicate"] for row in unseen} <= {name, absent}
    assert "mean_average_precision_unseen" in found["measures"]


@pytest.mark.parametrize("model", [("hico", "parsed")], indirect=True)
def test_what_is_missing_is_one_sentence(
    world: Path, model: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    _, options = files(world, "hico")
    assert invoke(["eval", "hico", str(model), *options[:2], *options[4:]]) == 64
    assert "is a model: say with images=FOLDER" in capsys.readouterr().err
    assert invoke(["eval", "labels", settings["data"][0]["run"], "--save", "x.parquet"]) == 64


@pytest.mark.parametrize("model", [("vcoco", "qahoi")], indirect=True)
def test_vcocos_mask_and_its_filter_of_people(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, options = files(world, "vcoco")
    capsys.readouterr()
    np.save(tmp_path / "corre_vcoco.npy", np.zeros((29, 29)))
    masked = measured(["vcoco", str(model), *options, *SIDES, f"mask={tmp_path}/corre_vcoco.npy"], capsys)
    assert masked["options"]["mask"].endswith("corre_vcoco.npy")
    everything = measured(["vcoco", str(model), *options, *SIDES], capsys)
    people = measured(["vcoco", str(model), *options, *SIDES, "people_only=true"], capsys)
    assert people["counts"]["detections"] <= everything["counts"]["detections"]
    np.save(tmp_path / "corre_vcoco.npy", np.zeros((3, 4)))
    assert invoke(["eval", "vcoco", str(model), *options, f"mask={tmp_path}/corre_vcoco.npy"]) == 64
    assert "expected 29 columns x 29 classes" in capsys.readouterr().err
