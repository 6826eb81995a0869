"""`relforge train`: refusals of a bad recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from relforge.cli.app import invoke


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {kind: tagger}", "unknown model.kind 'tagger'; did you mean 'rtagger'? choose one of blip"),
        ("model: {kind: rtagger}\nout: x", "a training recipe needs data"),
        ("model: {kind: rtagger}\nout: x\ndata: []\nspeed: 3", "unknown setting speed"),
    ],
)
def test_a_bad_recipe_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    assert invoke(["train", str(recipe)]) == 64
    assert message in capsys.readouterr().err
