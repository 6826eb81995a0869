"""`relforge train` and `relforge eval`: what they say about bad input, and what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.pipeline.cli.app import invoke
from relforge.stages.tables import SCHEMAS, conform


def run_with(folder: Path, gold: list[str], scored: list[tuple[str, float]]) -> Path:
    """A run folder where box 0 stands in these predicates to box 1 of image 1."""
    pair = {"image_id": "1", "subject_box": 0, "object_box": 1}
    score = {"position": 0, "support": 1, "caption_ids": [0], "rule": "head|head", "tagger": "t"}
    blank = dict.fromkeys(SCHEMAS["scores"].names) | pair | score
    rows = {
        "gold": [pair | {"predicate": p} for p in gold],
        "scores": [blank | {"predicate": p, "score": s} for p, s in scored],
    }
    for name, facts in rows.items():
        (folder / name).mkdir()
        table = conform(name, pa.Table.from_pylist(facts, SCHEMAS[name]))
        pq.write_table(table, folder / name / "part-00000.parquet")
    return folder


def test_eval_prints_quality(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_with(tmp_path, ["on", "in"], [("on", 0.9), ("under", 0.5)])
    assert invoke(["eval", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mean_average_precision"] == 0.5
    assert (found["precision"], found["recall"]) == (0.5, 0.5)
    assert invoke(["eval", str(run)]) == 0
    assert "mean average precision" in capsys.readouterr().out


def test_eval_without_gold_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["eval", str(run_with(tmp_path, [], [("on", 0.9)]))]) == 64
    assert "no gold relations" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {kind: tagger}", "model.kind is 'tagger'; choose one of rtagger"),
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
