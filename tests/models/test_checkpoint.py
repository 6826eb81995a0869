"""Model folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from relforge.models.checkpoint import file_sha256, load_model
from relforge.models.published import load_pretrained


def test_a_saved_model_comes_back_the_same(tiny: Any, tmp_path: Path) -> None:
    loaded = load_model(tiny.folder(tmp_path))
    for name, tensor in tiny.model().state_dict().items():
        assert loaded.model.state_dict()[name].equal(tensor), name
    assert loaded.blueprint == tiny.BLUEPRINT
    assert loaded.model.text_encoder.token_ids(["sitting on"])[0].tolist() == [[0, 11, 12, 2]]


def test_the_card_says_what_the_weights_are(tiny: Any, tmp_path: Path) -> None:
    card = (tiny.folder(tmp_path) / "README.md").read_text()
    assert file_sha256(tmp_path / "model.safetensors") in card
    assert "| recall | 0.5 |" in card
    assert "a test" in card


def test_other_weights_than_the_config_names_are_refused(tiny: Any, tmp_path: Path) -> None:
    path = tiny.folder(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ValueError, match=r"is not the file that config\.json describes"):
        load_model(tmp_path)


def test_keys_that_do_not_fit_are_listed(tiny: Any, tmp_path: Path) -> None:
    path = tiny.folder(tmp_path) / "model.safetensors"
    weights = load_file(path)
    weights["extra.weight"] = weights.pop("classifier.entity_bias")
    weights["classifier.relation_bias"] = torch.zeros(3)
    save_file(weights, path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"weights_sha256": file_sha256(path)}))
    with pytest.raises(ValueError, match="does not fit") as error:
        load_model(tmp_path)
    for line in (
        "missing classifier.entity_bias",
        "surplus extra.weight",
        "shape of classifier.relation_bias",
    ):
        assert line in str(error.value)


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no model folder: it has no model.safetensors"):
        load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        load_pretrained(str(tmp_path / "absent.pth"))
