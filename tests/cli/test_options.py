"""`relforge options`, docs/reference, the JSON schema of configs and shell completion: all from the code."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from relforge.cli.option_topics import REGISTRIES, find_options, list_topics
from relforge.cli.options import render_pages
from relforge.cli.recipe_schema import recipe_schema
from relforge.demo.job import write_job
from relforge.limited_yaml import read_yaml
from relforge.pipeline.config.json_schema import config_schema

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
RECIPES = sorted((ROOT / "configs" / "train").glob("*.yaml"))
ENTRIES = [(topic, name) for topic, names in list_topics().items() for name in names]


def test_every_option_of_everything_has_a_meaning_and_a_type() -> None:
    whole = [("run", None), ("resources", None), ("dataset", None), *ENTRIES]
    found = [(topic, name, one) for topic, name in whole for one in find_options(topic, name)]

    assert [(topic, name, one.name) for topic, name, one in found if not one.meaning or not one.type] == []
    assert len(found) > 500


@pytest.mark.parametrize(("topic", "name"), [one for one in ENTRIES if one[0] in REGISTRIES])
def test_the_options_are_those_that_the_constructor_takes(topic: str, name: str) -> None:
    taken = inspect.signature(REGISTRIES[topic].load(name)).parameters.values()
    named = {one.name: one for one in taken if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
    if topic == "export":
        named = {key: one for key, one in named.items() if key not in ("tables", "path")}

    found = {one.name: one for one in find_options(topic, name)}

    assert found.keys() == named.keys()
    needed = {key for key, one in named.items() if one.default is one.empty}
    assert {key for key, one in found.items() if one.default is None} == needed


def test_the_reference_is_what_the_code_says() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md")}

    assert written == render_pages(), "run: relforge options --write docs/reference"


def test_an_option_has_type_default_unit_and_what_it_costs(relforge: Any) -> None:
    said = relforge("options", "tag", "rtagger")

    lines = said.out.splitlines()
    assert lines[0] == "model  str; needed; redoes tag"
    assert "short_side  int; default 800; pixels; redoes tag" in lines
    assert "device  str; default 'auto'; redoes nothing" in lines
    assert lines[-1] == "taken by relforge.stages.tag.rtagger:stage"
    as_json = {one["name"]: one for one in relforge("options", "blip", "--json").json}
    assert as_json["seed"]["meaning"].endswith("Set by `run.seed`.")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tagg"], "no options of 'tagg'; did you mean 'tag'? choose one of run, resources, caption"),
        (["tag"], "relforge options tag: which one? add one of rule, rtagger, clip"),
        (["tag", "rtager"], "tag has no 'rtager'; did you mean 'rtagger'? choose one of rule, rtagger, clip"),
    ],
)
def test_an_unknown_topic_names_the_choices(relforge: Any, arguments: list[str], sentence: str) -> None:
    said = relforge("options", *arguments)

    assert said.code == 64
    assert sentence in said.err


def test_the_schema_beside_the_configs_is_what_the_code_says() -> None:
    stored = json.loads((ROOT / "configs" / "schema.json").read_text(encoding="utf-8"))

    assert stored == config_schema(), "run: relforge options --schema > configs/schema.json"
    jsonschema.Draft202012Validator.check_schema(stored)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_packaged_config_fits_the_schema_and_names_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    jsonschema.validate(yaml.safe_load(text), config_schema())
    assert text.splitlines()[0] == "# yaml-language-server: $schema=schema.json"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run.shard_image", 5),
        ("run.shard_images", "many"),
        ("run.profile", "strict"),
        ("dataset.format", "cocoo"),
        ("dataset.annotation", "x.json"),
        ("dataset.limit", []),
        ("stages.tag.backend", "rtager"),
        ("stages.tag.short_sides", 96),
        ("stages.tag.short_side", "large"),
        ("stages.tag.resources", {"num_gpu": 1}),
        ("stages.prase", {"backend": "relforge"}),
    ],
)
def test_what_validate_would_refuse_does_not_fit(tmp_path: Path, field: str, value: object) -> None:
    values = yaml.safe_load(write_job(tmp_path, 1).read_text())
    jsonschema.validate(values, config_schema())
    *above, last = field.split(".")
    part = values
    for key in above:
        part = part[key]
    part[last] = value

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, config_schema())


def test_references_and_code_of_ones_own_fit(tmp_path: Path) -> None:
    values = yaml.safe_load(write_job(tmp_path, 1).read_text())
    values["run"]["seed"] = "${SEED:-0}"
    values["stages"]["mine"] = {"backend": "package.module:Stage", "anything": 1}
    values["stages"]["tag"] = {"backend": "package.module:Tagger", "anything": 1}

    jsonschema.validate(values, config_schema())


@pytest.fixture(scope="module")
def recipes() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(recipe_schema())


def test_the_schema_beside_the_recipes_is_what_the_code_says(relforge: Any) -> None:
    stored = json.loads((ROOT / "configs" / "train" / "schema.json").read_text(encoding="utf-8"))

    assert stored == recipe_schema(), "run: relforge options --schema --recipes > configs/train/schema.json"
    assert relforge("options", "--schema", "--recipes").json == stored
    jsonschema.Draft202012Validator.check_schema(stored)
    assert "--recipes is of --schema" in relforge("options", "--recipes").err


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_packaged_recipe_fits_the_schema_and_names_it(
    path: Path, recipes: jsonschema.Draft202012Validator
) -> None:
    text = path.read_text(encoding="utf-8")

    recipes.validate(read_yaml(text))
    assert text.splitlines()[0] == "# yaml-language-server: $schema=schema.json"


@pytest.mark.parametrize(
    ("recipe", "field", "value"),
    [
        ("parseda_hico", "epoch", 20),
        ("parseda_hico", "epochs", "many"),
        ("parseda_hico", "data", []),
        ("parseda_hico", "data.0.anotations", "x.json"),
        ("parseda_hico", "data.0.format", "hicodet"),
        ("parseda_hico_few", "data.0.few_shot.shares", 0.1),
        ("parseda_hico", "optimisation.lr", 0.1),
        ("parseda_hico", "batch.short_sides", 96),
        ("rtagger", "model.kind", "rtager"),
        ("rtagger", "model.sizes.feed_forward", 512),
        ("rtagger", "noise.boxes", 0.4),
        ("parseda", "noise", {"box": 0.4}),
        ("cdn_hico", "losses.relation", "focal"),
        ("cdn_hico", "rounds", 2),
        ("speaq_vg150", "assign.multi.copies", 2),
        ("detr_coco", "labels", "closed"),
        ("detr_coco", "batch.max_pairs", 5),
        ("world_blip", "optimisation.average_decay", 0.9),
        ("world_blip", "data.caption", "x.json"),
        ("defr_hico", "empty_weight", 0.1),
        ("defr_hico", "judge.threshold", 0.1),
        ("hts", "data.labelz", "gold"),
        ("own_run", "model", {}),
    ],
)
def test_what_train_would_refuse_does_not_fit(
    recipe: str, field: str, value: object, recipes: jsonschema.Draft202012Validator
) -> None:
    values = read_yaml((ROOT / "configs" / "train" / f"{recipe}.yaml").read_text(encoding="utf-8"))
    *above, last = field.split(".")
    part: Any = values
    for key in above:
        part = part[int(key)] if key.isdigit() else part.setdefault(key, {})
    part[last] = value

    assert not recipes.is_valid(values)


def test_a_family_of_ones_own_and_references_fit_in_a_recipe(
    recipes: jsonschema.Draft202012Validator,
) -> None:
    values = read_yaml((ROOT / "configs" / "train" / "parseda.yaml").read_text(encoding="utf-8"))
    values |= {"model": {"kind": "package.module:FAMILY", "sizes": {"anything": 1}}, "seed": "${SEED:-0}"}

    recipes.validate(values)


@pytest.mark.parametrize(
    ("shell", "words", "completed"),
    [
        ("bash", "relforge stat", "status"),
        ("zsh", "relforge stat", "status"),
        ("fish", "relforge stat", "status"),
    ],
)
def test_shells_complete_verbs(shell: str, words: str, completed: str) -> None:
    variables = {"COMP_WORDS": words, "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": words}
    variables |= {"_RELFORGE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}

    done = subprocess.run(
        [sys.executable, "-c", "from relforge.cli import main; main()"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )

    assert "status" in done.stdout, done.stderr


def test_a_config_is_completed_by_the_names_of_relforges_own() -> None:
    variables = {"COMP_WORDS": "relforge run coco", "COMP_CWORD": "2", "_RELFORGE_COMPLETE": "complete_bash"}

    done = subprocess.run(
        [sys.executable, "-c", "from relforge.cli import main; main()"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )

    assert done.stdout.split() == ["coco", "coco_sample", "coco_vlm"], done.stderr
