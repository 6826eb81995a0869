"""`relforge language-head`: rows, prompts that can be edited, and the plot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from relforge.models.language_head import load_head, rows_of
from tests.cli.conftest import Relforge
from tests.fixtures.sentence_encoders import PAIRS, write_bert


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert"))


def test_the_verb_writes_rows_prompts_and_an_image_and_its_prompts_can_be_edited(
    bert: Path, tmp_path: Path, relforge: Relforge
) -> None:
    table = tmp_path / "table.yaml"
    table.write_text(json.dumps([list(pair) for pair in PAIRS]))
    out = tmp_path / "head"

    said = relforge("language-head", bert, out, "--interactions", table)

    assert said.code == 0, said.err
    assert "4 rows of 16" in said.out
    assert (out / "layout.png").read_bytes().startswith(b"\x89PNG")
    head = load_head(out)
    assert head.interactions == tuple(PAIRS)
    torch.testing.assert_close(head.rows.norm(dim=1), torch.ones(4))
    assert rows_of(head, PAIRS[::-1]).equal(head.rows.flip(0))
    with pytest.raises(ValueError, match="no row for 'fly kite'"):
        rows_of(head, [("fly", "kite")])

    prompts = json.loads((out / "prompts.json").read_text())
    assert prompts["ride horse"] == ["a person ride the horse"]
    prompts["ride horse"] = ["a man riding the horse"]
    (tmp_path / "edited.json").write_text(json.dumps(prompts))
    again = relforge(
        "language-head", bert, tmp_path / "b", "--interactions", table, "--prompts", tmp_path / "edited.json"
    )
    assert again.code == 0, again.err
    rows = load_head(tmp_path / "b").rows
    assert rows[1:].equal(head.rows[1:])
    assert not rows[0].equal(head.rows[0])


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--interactions", "[[ride, horse], [ride, horse]]", "is listed twice; remove one"),
        ("--interactions", "{ride: horse}", "expected a list of [verb, object]"),
        ("--prompts", "{ride horse: 3}", "expected a list of templates"),
        ("--pooling", None, "choose one of cls, pooler, mean"),
    ],
)
def test_bad_tables_and_prompts_are_one_sentence(
    bert: Path, tmp_path: Path, relforge: Relforge, option: str, value: str | None, sentence: str
) -> None:
    file = tmp_path / "given.yaml"
    file.write_text(value or "")

    said = relforge("language-head", bert, tmp_path / "out", option, file if value else "max")

    assert said.code == 64
    assert sentence in said.err
