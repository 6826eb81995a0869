"""Classes that a data set spells its own way, and synonym tables: from the command to the sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from relforge.stages.match.vocabulary import load
from tests.fixtures.given_captions import stages_of


def write_run(folder: Path, categories: list[str], caption: str, **match: Any) -> Path:
    """A config with one image that has a box of each class, and one caption."""
    boxes = [
        {"id": 11 + k, "image_id": 1, "category_id": k + 1, "bbox": [20 + 10 * k, 20, 80, 90], "iscrowd": 0}
        for k in range(len(categories))
    ]
    coco = {
        "images": [{"id": 1, "width": 320, "height": 240, "file_name": "1.jpg"}],
        "annotations": boxes,
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(categories)],
    }
    (folder / "ann.json").write_text(json.dumps(coco))
    (folder / "captions.json").write_text(json.dumps({"1": [caption]}))
    stages = stages_of(folder / "captions.json")
    stages["match"] |= match
    stages["select"] |= {"threshold": 0.0}
    values = {
        "dataset": {"name": "toy", "split": "all", "format": "coco", "annotations": str(folder / "ann.json")},
        "run": {"folder": str(folder / "run")},
        "stages": stages,
    }
    config = folder / "c.yaml"
    config.write_text(yaml.safe_dump(values))
    return config


@pytest.mark.parametrize(
    ("categories", "caption"),
    [
        (["Persons", "horses"], "a man riding a horse"),
        (["person", "motor_bike"], "a man riding a motorcycle"),
        (["person", "TrafficLight"], "a man near a traffic light"),
        (["person", "Bat (Animal)"], "a man holding a bat"),
        (["person", "horse, pony"], "a man riding a pony"),
    ],
)
def test_a_class_is_found_however_it_is_spelt(relforge, tmp_path: Path, categories, caption: str) -> None:
    config = write_run(tmp_path, categories, caption)
    assert relforge("run", config, "--executor", "loop").code == 0
    assert pq.read_table(tmp_path / "run" / "relations").num_rows == 1
    assert pq.read_table(tmp_path / "run" / "boxes")["category"].to_pylist() == categories


def test_classes_that_no_table_knows_are_named_before_and_after_a_run(relforge, tmp_path: Path) -> None:
    config = write_run(tmp_path, ["0-person", "1-horse", "dog"], "a man riding a horse near a dog by a pond")
    sentence = "no synonym table knows 2 of 3 classes"
    before = relforge("validate", config)
    assert before.code == 0
    assert sentence in before.out
    assert "0-person, 1-horse; `relforge synonyms` drafts a table" in before.out
    assert relforge("run", config, "--executor", "loop").code == 0
    report = relforge("report", tmp_path / "run")
    assert sentence in report.out
    found = relforge("report", tmp_path / "run", "--json").json["coverage"]
    assert {row["category"]: row["boxes"] for row in found["unknown"]} == {"0-person": 1, "1-horse": 1}
    assert "pond" in {row["noun"] for row in found["nouns"]}
    assert "dog" not in {row["noun"] for row in found["nouns"]}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "0-person" in page


def test_a_first_run_names_what_no_caption_names_and_drafts_a_table_to_fill_in(
    relforge, tmp_path: Path
) -> None:
    config = write_run(tmp_path, ["person", "obj_17"], "a man riding a horse")
    first = relforge("run", config, "--executor", "loop")
    assert first.code == 0
    assert "the result is empty: stage 'match'" in first.out + first.err
    assert "complete, with an empty result: 1 shards" in first.out
    assert (
        "no caption names 1 of the classes, so they have no relations: obj_17 (1 boxes)"
        in first.out + first.err
    )

    draft = tmp_path / "run" / "synonyms.draft.yaml"
    assert str(draft) in first.out + first.err
    table = yaml.safe_load(draft.read_text())
    table["classes"]["obj_17"] = ["horse"]
    draft.write_text(yaml.safe_dump(table))
    again = relforge("run", config, f"stages.match.synonyms=[coco, {draft}]", "--executor", "loop")

    assert again.code == 0
    assert "complete: 1 shards" in again.out
    assert "no caption names" not in again.out + again.err
    assert pq.read_table(tmp_path / "run" / "relations").num_rows == 1
    assert yaml.safe_load(draft.read_text()) == table  # what a person wrote stays


def test_nothing_is_said_where_the_tables_know_every_class(relforge, tmp_path: Path) -> None:
    config = write_run(tmp_path, ["person", "horse"], "a man riding a horse")
    assert "no synonym table" not in relforge("validate", config).out


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("on", "on: [man]", "key 'on' is a YAML bool, not text"),
        ("number", "7: [man]", "key '7' is a YAML int, not text"),
        ("empty_hypernyms", "classes:\n  person: [man]\nhypernyms:\n", "'hypernyms' needs a mapping"),
        (
            "number_exception",
            "classes:\n  person: [man]\nexceptions: [7]",
            "exceptions needs a list of phrases",
        ),
        ("broken", "person: [man", "not valid YAML"),
        ("text_hypernym", "classes: {horse: []}\nhypernyms: {animal: horse}", "word 'animal' needs a list"),
        (
            "text_exceptions",
            "classes: {horse: []}\nexceptions: man horse",
            "exceptions needs a list of phrases",
        ),
        ("key_twice", "person: [man]\nhorse: [pony]\nperson: [lady]", "key 'person' is there twice"),
        ("unknown_class", "classes: {person: []}\nhypernyms: {animal: [hrose]}", "did you mean 'horse'?"),
    ],
)
@pytest.mark.parametrize("verb", ["validate", "run"])
def test_a_table_that_cannot_be_used_is_one_sentence(
    relforge, tmp_path: Path, verb: str, name: str, text: str, said: str
) -> None:
    config = write_run(tmp_path, ["person", "horse"], "a man riding a horse")
    table = tmp_path / f"{name}.yaml"
    table.write_text(text)
    found = relforge(verb, config, f"stages.match.synonyms=[coco, {table}]")
    assert found.code == 64
    assert f"{table}: " in found.err
    assert said in found.err
    assert found.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_drafted_table_is_used_as_it_is(relforge, tmp_path: Path) -> None:
    odd = ["Persons", "motor_bike", "yes", "7", "horse: # 'x'", "Bat (Animal)", "gray fox", "person ", "é/ü"]
    config = write_run(tmp_path, odd, "a man riding a motorcycle near a grey fox")
    table = tmp_path / "draft.yaml"
    drafted = relforge("synonyms", config, "--out", table)
    assert drafted.code == 0, drafted.err
    assert "no dictionary was used" in table.read_text()
    vocabulary = load([str(table)])
    assert all(vocabulary.knows(name) for name in odd)
    assert {"man", "woman"} <= set(vocabulary.synonyms("Persons"))
    assert "motorcycle" in vocabulary.synonyms("motor_bike")
    assert "grey fox" in vocabulary.synonyms("gray fox")
    assert relforge("validate", config, f"stages.match.synonyms=[{table}]").code == 0
    ran = relforge("run", config, f"stages.match.synonyms=[{table}]", "--executor", "loop")
    assert ran.code == 0
    rows = pq.read_table(tmp_path / "run" / "candidates").to_pylist()
    assert {(0, 1), (7, 1)} <= {(row["subject_box"], row["object_box"]) for row in rows}
    # the run folder and the annotation file have the same classes
    classes = yaml.safe_load(table.read_text())["classes"]
    for dataset in ("run", "ann.json"):
        drafted = relforge("synonyms", tmp_path / dataset)
        assert len(yaml.safe_load(drafted.out)["classes"]) == len(classes)


def test_a_draft_never_replaces_a_table(relforge, tmp_path: Path) -> None:
    config = write_run(tmp_path, ["person"], "a man")
    table = tmp_path / "mine.yaml"
    table.write_text("person: [dweller]")
    assert relforge("synonyms", config, "--out", table).code == 64
    assert table.read_text() == "person: [dweller]"


@pytest.mark.parametrize("name", ["missing.json", "missing", "broken.json"])
def test_a_dataset_that_cannot_be_read_is_one_sentence(relforge, tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.json").write_text('{"categories": [')
    found = relforge("synonyms", tmp_path / name)
    assert found.code == 64
    assert name in found.err
    assert found.err.count("\n") == 1


def test_pairs_beyond_the_limit_are_in_the_report(relforge, tmp_path: Path) -> None:
    config = write_run(tmp_path, ["person"] * 5, "a man near a woman", max_pairs=9)
    assert relforge("run", config, "--executor", "loop").code == 0
    found = relforge("report", tmp_path / "run")
    assert "14 pairs were left out, beyond match.max_pairs of their image" in found.out
