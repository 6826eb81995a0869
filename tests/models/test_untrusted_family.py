"""A checkpoint that names code as its family: nothing is imported unless its user named it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relforge.cli.app import invoke
from relforge.demo.world.dataset import write_split
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import load_model
from relforge.models.published import load_pretrained
from relforge.models.zoo import UntrustedFamily
from relforge.stages.caption.transformers import Transformers
from relforge.stages.parse.flan import FlanParser
from relforge.stages.tag.rtagger import RTagger
from relforge.trainer.recipes import relations
from tests.fixtures.training import run_folder, settings

__all__ = ["run_folder", "settings"]

NAME = "family_code:FAMILY"
CODE = """
from dataclasses import replace
from pathlib import Path

from relforge.models.zoo import family

Path(__file__).with_name("imported").touch()
FAMILY = replace(family("{model}"), name="{model}")
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a module `family_code` that leaves the file `imported` when it is imported."""
    (tmp_path / "family_code.py").write_text(CODE.format(model="rtagger"))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("family_code", None)


def change_json(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def rename_family(folder: Path, name: Any) -> Path:
    change_json(folder / "config.json", model=name)
    return folder


@pytest.fixture
def model(tiny: Any, code: Path) -> Path:
    """A model folder that names `family_code`."""
    return rename_family(tiny.folder(code / "model").resolve(), NAME)


LOADS: dict[str, Callable[[Path], Any]] = {
    "load_model": load_model,
    "load_pretrained": lambda folder: load_pretrained(str(folder)),
    "from_config": lambda folder: Blueprint.from_config(json.loads((folder / "config.json").read_text())),
    "rtagger": lambda folder: RTagger(str(folder), device="cpu").load(0.05),
    "another one is trusted": lambda folder: load_model(folder, trusted="family_code:OTHER"),
}


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_its_module_is_not_imported(model: Path, load: Callable[[Path], Any]) -> None:
    with pytest.raises(UntrustedFamily, match=f"'{NAME}' as its family, which is code and was not imported"):
        load(model)
    assert not (model.parent / "imported").exists()


def test_it_loads_where_the_call_names_it(model: Path) -> None:
    assert load_model(model, trusted=NAME).blueprint.kind == NAME
    assert load_pretrained(str(model), trusted=NAME).blueprint.kind == NAME


def test_it_loads_where_its_module_is_imported_already(model: Path) -> None:
    importlib.import_module("family_code")
    assert load_model(model).blueprint.kind == NAME


@pytest.mark.parametrize(
    "name", ["os:system", "os:environ", "relforge.models.zoo:MODELS", "os:", ":x", "relforge.__main__:main"]
)
def test_what_an_imported_module_has_besides_families_is_refused(model: Path, name: str) -> None:
    with pytest.raises(UntrustedFamily, match=r"config\.json: the model names"):
        load_model(rename_family(model, name))


@pytest.mark.parametrize("name", [None, 3, ["rtagger"], {"rtagger": 1}, "rtager"])
def test_a_name_of_no_family_is_one_sentence(model: Path, name: object) -> None:
    with pytest.raises(ValueError, match=r"config\.json does not describe a model"):
        load_model(rename_family(model, name))


def test_a_recipe_that_starts_from_it_names_it_or_is_refused(
    settings: dict[str, Any], code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = rename_family(relations.main(settings | {"steps": 1}), NAME)
    recipe = settings | {"steps": 1, "out": str(code / "next"), "model": {"start": str(start)}}
    (code / "recipe.yaml").write_text(json.dumps(recipe))

    assert invoke(["train", str(code / "recipe.yaml")]) == 64
    said = capsys.readouterr().err
    assert f"`kind: {NAME}` under `model` of a recipe" in said
    assert said.count("\n") == 1
    assert not (code / "imported").exists()

    assert invoke(["train", str(code / "recipe.yaml"), f"model.kind={NAME}"]) == 0
    assert (code / "imported").exists()


def test_eval_takes_the_family_as_kind(
    settings: dict[str, Any], code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings["model"]["kind"] = "parsed"
    (code / "family_code.py").write_text(CODE.format(model="parsed"))
    model = rename_family(relations.main(settings | {"steps": 1}), NAME)
    split = write_split(code / "gold", "vg-like", 3, size=64)
    for image in (split / "images").iterdir():
        image.rename(image.with_name(f"{int(image.stem)}.jpg"))
    words = ["eval", "hico", str(model), f"annotations={split / 'scene_graphs.json'}", "subject=any"]
    words += [f"images={split / 'images'}", "short_side=48", "long_side=64"]

    assert invoke(words) == 64
    assert f"kind={NAME}" in capsys.readouterr().err
    assert not (code / "imported").exists()

    assert invoke([*words, f"kind={NAME}"]) == 0, capsys.readouterr().err
    assert (code / "imported").exists()
    assert invoke([*words, "kind=parsed"]) == 64


REMOTE = """
from pathlib import Path

from transformers import PretrainedConfig, PreTrainedTokenizer

(Path({folder!r}) / "imported").touch()


class Config(PretrainedConfig):
    model_type = "own"


class Tokenizer(PreTrainedTokenizer):
    pass
"""
AUTO_CLASSES = ("AutoModel", "AutoModelForSeq2SeqLM", "AutoModelForImageTextToText", "AutoProcessor")

REMOTE_LOADS: dict[str, Callable[[Path], Any]] = {
    "tokenizer of a model folder": load_model,
    "captioner": lambda folder: Transformers(str(folder), device="cpu").load(),
    "flan": lambda folder: FlanParser(str(folder), device="cpu").setup(),
}


@pytest.mark.parametrize("load", REMOTE_LOADS.values(), ids=REMOTE_LOADS)
def test_code_beside_a_hugging_face_model_is_not_run_whatever_is_answered(
    tiny: Any, code: Path, load: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny.folder(code / "model").resolve()
    (folder / "remote.py").write_text(REMOTE.format(folder=str(code)))
    own = dict.fromkeys(AUTO_CLASSES, "remote.Config") | {"AutoConfig": "remote.Config"}
    if load is not load_model:
        change_json(folder / "config.json", model_type="own", auto_map=own)
    change_json(
        folder / "tokenizer_config.json",
        tokenizer_class="Tokenizer",
        auto_map={"AutoTokenizer": ["remote.Tokenizer", None]},
    )
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ValueError, match="contains custom code"):
        load(folder)
    assert not (code / "imported").exists()
