"""A command that is given the wrong kind of file says what the file is, and what takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "demo" / "weights" / "rtagger"
RECIPE = ROOT / "configs" / "train" / "rtagger.yaml"

CASES = {
    "a config to hico": (
        ["eval", "hico", "{config}"],
        "{config} is the config of a run; hico measures a table of detections or a model; "
        "its run is {run}: `relforge eval labels {run}`",
    ),
    "a run to hico": (
        ["eval", "hico", "{run}"],
        "{run} is a run folder; hico measures a table of detections or a model; "
        "a run's labels are measured by `relforge eval labels {run}` or `vg_sgg`",
    ),
    "a model to labels": (
        ["eval", "labels", MODEL],
        f"{MODEL} is a model folder; labels measures a run folder; "
        "a model's detections are measured by hico, vcoco, open_images, vg_sgg or coco",
    ),
    "a recipe to vcoco": (
        ["eval", "vcoco", RECIPE],
        f"{RECIPE} is a training recipe; vcoco measures a table of detections or a model; "
        "its model is in the folder `out`/model once `relforge train` has made it",
    ),
    "annotations to coco": (
        ["eval", "coco", "{annotations}"],
        "{annotations} is a COCO-format annotation file; coco measures a list of results or a detector; "
        "give it as annotations={annotations}",
    ),
    "a config to train": (
        ["train", "{config}"],
        "{config} is the config of a run, no training recipe; `relforge run` runs it",
    ),
    "annotations to train": (
        ["train", "{annotations}"],
        "{annotations} is a COCO-format annotation file, no training recipe; "
        "a config names it as `dataset.annotations`, a recipe in `data`",
    ),
    "a run to train": (
        ["train", "{run}"],
        "{run}: is a run folder, no YAML file; "
        "`relforge status`, `rerun`, `export` and `eval labels` take it",
    ),
    "a recipe to run": (
        ["run", RECIPE],
        f"{RECIPE}: is a training recipe, no config of a run; `relforge train` trains it",
    ),
    "a model to run": (
        ["run", MODEL],
        f"{MODEL}: is a model folder, no YAML file; `relforge eval` measures it, "
        "a config names it as `model`, a recipe as `model.start`",
    ),
}


@pytest.mark.parametrize(("arguments", "sentence"), CASES.values(), ids=CASES.keys())
def test_the_wrong_kind_of_file_is_named(relforge, finished, config, tmp_path, arguments, sentence) -> None:
    annotations = tmp_path / "instances.json"
    annotations.write_text('{"info": {}, "images": [], "annotations": [], "categories": []}')
    named = {"run": finished, "config": config, "annotations": annotations}

    said = relforge(*(str(one).format(**named) for one in arguments))

    assert said.code == 64
    assert said.err == f"relforge: {sentence.format(**named)}\n"


def test_a_setting_under_another_tools_name_is_named_as_it_is_here(relforge) -> None:
    said = relforge("train", RECIPE, "optimisation.lr=1e-4")

    assert said.code == 64
    assert "unknown setting optimisation.lr; did you mean optimisation.learning_rate?" in said.err


def test_setting_below_a_list_says_how(relforge) -> None:
    said = relforge("train", RECIPE, "data.run=runs/mine")

    assert said.code == 64
    assert "data is a list of 1 entry; name one by its number (0): data.0.run=..." in said.err
