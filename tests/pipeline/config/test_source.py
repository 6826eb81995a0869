"""How a config is read: overrides first, then environment references."""

from __future__ import annotations

from pathlib import Path

import pytest

from relforge.pipeline.config import ConfigError, read


@pytest.fixture
def config(tmp_path: Path):
    """`config(text)` writes a YAML file and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_an_override_keeps_the_type_its_value_has_in_yaml(config) -> None:
    path = config("stages: {select: {threshold: 0.5}}")

    values = read(path, ["stages.select.threshold=0.2", "run.seed=7", "dataset.images="]).values

    assert values["stages"]["select"]["threshold"] == 0.2
    assert values["run"]["seed"] == 7
    assert values["dataset"]["images"] is None


def test_references_take_the_environment_or_their_default(config) -> None:
    path = config("dataset: {annotations: '${ANN}/a.json', images: '${IMAGES:-}', split: '${SPLIT:-val}'}")

    values = read(path, environment={"ANN": "/data"}).values

    assert values["dataset"] == {"annotations": "/data/a.json", "images": None, "split": "val"}


def test_a_field_given_by_override_needs_no_environment_variable(config) -> None:
    path = config("dataset: {annotations: '${ANN}'}")

    assert read(path, ["dataset.annotations=/a.json"], {}).values["dataset"]["annotations"] == "/a.json"


def test_a_variable_that_is_not_set_says_both_ways_to_give_the_field(config) -> None:
    path = config("dataset: {annotations: '${ANN}'}")

    with pytest.raises(ConfigError) as error:
        read(path, environment={})

    assert str(error.value) == (
        f"{path}: dataset.annotations: environment variable ANN is not set; "
        "set ANN or pass dataset.annotations=..."
    )


@pytest.mark.parametrize("override", ["threshold", "=3", "a..b=1", "run=[1"])
def test_a_malformed_override_is_refused(config, override) -> None:
    with pytest.raises(ConfigError, match=r"override|YAML"):
        read(config("run: {}"), [override])


def test_nothing_can_be_set_below_a_value(config) -> None:
    with pytest.raises(ConfigError, match=r"run\.folder holds a value"):
        read(config("run: {folder: x}"), ["run.folder.name=y"])


def test_an_entry_of_a_list_is_named_by_its_number(config) -> None:
    source = read(config("data: [{run: a}, {run: b}]"), ["data.1.run=c", "data.0.limit=3"])

    assert source.values["data"] == [{"run": "a", "limit": 3}, {"run": "c"}]


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "data.run=x",
            r"data is a list of 2 entries; name one by its number \(0 to 1\): data\.0\.run=\.\.\.",
        ),
        ("data.7.run=x", r"data is a list of 2 entries; .* data\.0\.run=\.\.\."),
        ("data.2=x", r"data is a list of 2 entries; .* data\.0=\.\.\."),
        ("none.0=x", r"none is an empty list; give it whole, none=\[\.\.\.\]"),
    ],
)
def test_a_key_that_names_no_entry_of_a_list_is_refused(config, override, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read(config("data: [{run: a}, {run: b}]\nnone: []"), [override])


def test_a_recipe_is_found_by_its_bare_name_and_named_when_it_is_not() -> None:
    assert read("rtagger", what="recipe").values["model"]["kind"] == "rtagger"
    with pytest.raises(ConfigError, match=r"no such recipe file; did you mean 'rtagger'\?"):
        read("rtager", what="recipe")


def test_an_absent_file_names_the_packaged_configs() -> None:
    with pytest.raises(ConfigError, match=r"no such config file.*coco_sample"):
        read("nowhere.yaml")


@pytest.mark.parametrize("text", ["a: [1", "- 1", "just text"])
def test_what_is_not_a_yaml_mapping_is_refused(config, text) -> None:
    with pytest.raises(ConfigError, match=r"YAML|mapping"):
        read(config(text))
