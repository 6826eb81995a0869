"""`relforge train`: refusals of a bad recipe; a model that a recipe file trained is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from relforge.cli import exits
from relforge.cli.app import invoke
from relforge.demo.world.benchmarks import PREDICATES
from relforge.demo.world.dataset import write_split
from relforge.models.ocn.priors import words_of
from tests.fixtures.training import run_folder, settings

__all__ = ["run_folder", "settings"]


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


def write_vectors(path: Path) -> str:
    """Vectors of 8 numbers for the words of the world's predicates."""
    words = sorted({word for name in PREDICATES for word in words_of(name)})
    path.write_text("".join(f"{word} {place} 1 0 0 2 0 0 1\n" for place, word in enumerate(words)))
    return str(path)


@pytest.mark.parametrize("kind", ["parse", "rlip_parse", "qpic", "cdn", "ocn"])
def test_a_recipe_file_trains_and_its_model_is_measured(
    kind: str, settings: dict[str, Any], tmp_path: Path, relforge: Any
) -> None:
    small = {"dim": 64, "heads": 2, "encoder_layers": 2, "decoder_layers": 2, "feedforward": 64}
    settings["model"] |= {"kind": kind, "sizes": small}
    if kind != "rlip_parse":
        del settings["model"]["text"]
    if kind == "cdn":
        settings["losses"] = {"reweight": ["objects", "relations"]}
    if kind == "ocn":
        settings["model"] |= {"sizes": small | {"word_width": 8}, "words": write_vectors(tmp_path / "words")}
    recipe, split = tmp_path / "recipe.yaml", write_split(tmp_path, "hoi", 4, size=64)
    source = {"annotations": str(split / "scene_graphs.json")}
    source |= {"images": f"{split}/images/{{image_id:0>6}}.jpg"}
    data = [{"format": "visual_genome"} | source]
    recipe.write_text(yaml.safe_dump(settings | {"data": data, "steps": 2}))
    out = Path(settings["out"])

    assert relforge("train", recipe).code == 0
    assert f"{out}: all 2 steps are done" in relforge("train", recipe).out

    assert [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()] == [0, 1]
    options = [f"{name}={value}" for name, value in source.items()]
    options += ["short_side=48", "long_side=64"]
    found = relforge("eval", "hico", out / "model", *options, "--json").json
    assert found["counts"]["images"] == 4
    assert 0 <= found["measures"]["mean_average_precision"]["value"] <= 1


@pytest.mark.parametrize("kind", ["qpic", "parsed_v1"])
def test_a_training_that_diverges_is_one_sentence(
    kind: str, settings: dict[str, Any], tmp_path: Path, relforge: Any
) -> None:
    small = {"dim": 64, "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "feedforward": 64}
    settings["model"] |= {"kind": kind, "sizes": small}
    del settings["model"]["text"]
    settings |= {"steps": 5, "save_every": 1, "optimisation": {"learning_rate": 1e25}}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(settings))

    result = relforge("train", recipe)

    assert result.code == exits.FAILED
    assert "not finite, so the training diverged; lower optimisation.learning_rate" in result.err
    assert "Traceback" not in result.err


SPEAQ = """
out: {out}
data: [{{run: {run}, relations: gold}}]
model:
  kind: speaq
  backbone: {{family: resnet, embedding_size: 8, hidden_sizes: [16, 24, 32, 48], depths: [1, 1, 1, 1]}}
  sizes: {{dim: 32, heads: 2, encoder_layers: 1, decoder_layers: 2, feedforward: 32}}
assign:
  groups: 3
  multi: {{k: 2, quality: max, predicate_weight: -0.5}}
  predicate_copies: 2
  reweight: {{alpha: 0.07, beta: 0.75}}
steps: 1
batch: {{size: 2, short_sides: [64], long_side: 96, max_pairs: 12}}
"""


def test_a_step_of_speaq_from_a_recipe_file(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "speaq.yaml"
    recipe.write_text(SPEAQ.format(out=tmp_path / "out", run=run_folder))
    assert invoke(["train", str(recipe)]) == 0
    assert f"the finished model is {tmp_path}/out/model" in capsys.readouterr().out
    config = json.loads((tmp_path / "out" / "model" / "config.json").read_text())
    assert config["model"] == "speaq"
    assert config["sizes"]["predicate_copies"] == 2
    assert sum(config["predicate_groups"]["queries"]) == 12
    assert invoke(["train", str(recipe), "assign.joint=true", f"out={tmp_path}/other"]) == 64
    assert "set assign.multi.scheme: static" in capsys.readouterr().err
