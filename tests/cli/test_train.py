"""`relforge train`: refusals of a bad recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from relforge.cli.app import invoke
from tests.fixtures.training import run_folder

__all__ = ["run_folder"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {kind: tagger}", "unknown model.kind 'tagger'; did you mean 'rtagger'? choose one of blip"),
        ("model: {kind: rtagger}\nout: x", "a training recipe needs data"),
        ("model: {kind: rtagger}\nout: x\ndata: []\nspeed: 3", "unknown setting speed"),
        ("out: x", "a training recipe needs model, a mapping with kind or start"),
        ("model: rtagger", "a training recipe needs model, a mapping with kind or start"),
        (
            "model: {kind: rtagger}\nout: x\ndata: []",
            "data: expected a list of at least one mapping, found []",
        ),
        ("model: {kind: rtagger}\nout: x\ndata: {run: a}", "data: expected a list of at least one mapping"),
        (
            "model: {kind: rtagger}\nout: x\ndata: [{run: a}]\nlosses: 3",
            "losses: expected a mapping, found 3",
        ),
        ("model: {kind: rtagger}\nout: x\ndata: [{run: a}]\nbatch: 4", "batch: expected a mapping, found 4"),
        ("model: {kind: blip}\nout: x\ndata: []", "data: expected a mapping, found []"),
        ("- model", "expected a mapping of fields, found list"),
    ],
)
def test_a_bad_recipe_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    assert invoke(["train", str(recipe)]) == 64
    assert message in capsys.readouterr().err


def test_a_text_encoder_that_is_not_there_is_one_sentence(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {{kind: parseda, text: ./roberta}}\nout: {tmp_path}/out\n"
        f"data: [{{run: {run_folder}, relations: gold}}]"
    )
    assert invoke(["train", str(recipe)]) == 64
    assert "model './roberta': no such file or folder" in capsys.readouterr().err


def test_a_kind_that_is_no_family_is_one_sentence(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {{kind: os:system}}\nout: {tmp_path}/out\ndata: [{{run: {run_folder}, relations: gold}}]"
    )
    assert invoke(["train", str(recipe)]) == 64
    assert "not a relforge.models.family.Family" in capsys.readouterr().err


def test_its_help_shows_an_override_that_a_recipe_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "out=runs/mine" in shown
    assert "run.folder" not in shown
