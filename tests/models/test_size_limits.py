"""Descriptions of models that no machine could hold are refused before memory is touched."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.cli.app import invoke
from relforge.models.blip.checkpoint import load_weights
from relforge.models.checkpoint import load_model
from relforge.models.size_limits import MAX_NUMBER, ModelTooLarge, check_numbers
from relforge.trainer.captioner import Captioner
from relforge.trainer.recipes import relations
from tests.fixtures.blip_fixtures import folder, model, tokenizer
from tests.fixtures.training import run_folder, settings

__all__ = ["folder", "model", "run_folder", "settings", "tokenizer"]

WIDE = [
    ({"sizes": {"dim": 1 << 20, "feedforward": 1 << 20}}, "the weights of this rtagger model would take"),
    ({"sizes": {"decoder_layers": 10**9}}, "sizes.decoder_layers is 1000000000; the largest"),
    ({"sizes": {"feedforward": 10**12}}, f"sizes.feedforward is 1000000000000; .* is {MAX_NUMBER}"),
    ({"text_encoder": {"num_hidden_layers": 10**6}}, "text_encoder.num_hidden_layers is 1000000"),
    ({"backbone": {"depths": [1, 1, 10**7, 1]}}, "backbone.depths is 10000000"),
]


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize(("change", "sentence"), WIDE)
def test_a_model_folder_with_absurd_sizes_is_refused(
    tiny: Any, tmp_path: Path, change: dict[str, dict[str, Any]], sentence: str
) -> None:
    config = tiny.folder(tmp_path / "model") / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {part: values[part] | own for part, own in change.items()}))
    before = peak_mebibytes()

    with pytest.raises(ModelTooLarge, match=rf"config\.json: {sentence}"):
        load_model(config.parent)
    assert peak_mebibytes() - before < 500


def test_a_recipe_with_absurd_sizes_is_one_sentence(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings["model"]["sizes"] = settings["model"]["sizes"] | {"feedforward": 1 << 23, "dim": 1 << 20}
    (tmp_path / "recipe.yaml").write_text(json.dumps(settings))

    assert invoke(["train", str(tmp_path / "recipe.yaml")]) == 64
    said = capsys.readouterr().err
    assert "GiB of memory; check its sizes" in said
    assert said.count("\n") == 1


def test_a_recipe_of_possible_sizes_is_trained(settings: dict[str, Any]) -> None:
    assert (relations.main(settings | {"steps": 1}) / "model.safetensors").exists()


def test_a_captioner_with_absurd_depth_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "blip")
    config = copy / "config.json"
    values = json.loads(config.read_text())
    values["text_config"]["num_hidden_layers"] = 10**8
    config.write_text(json.dumps(values))

    with pytest.raises(ValueError, match=r"config\.json: text_config\.num_hidden_layers is 100000000"):
        load_weights(str(copy))


@pytest.mark.parametrize(
    ("vision", "sentence"),
    [
        ({"num_hidden_layers": 10**8}, "vision.num_hidden_layers is 100000000"),
        (
            {"hidden_size": 1 << 20, "intermediate_size": 1 << 22, "num_attention_heads": 16},
            "the weights of this captioner would take",
        ),
    ],
)
def test_a_captioner_to_be_trained_with_absurd_sizes_is_refused(
    tokenizer: Any, vision: dict[str, int], sentence: str
) -> None:
    with pytest.raises(ModelTooLarge, match=sentence):
        Captioner({"hidden_size": 32, **vision}, {"hidden_size": 32}, tokenizer, torch.zeros(0))


@pytest.mark.parametrize("value", [None, True, 0.5, "10" * 20, [1, [2]], {"a": MAX_NUMBER}])
def test_other_values_pass(value: object) -> None:
    check_numbers({"name": value})
