"""A synonym table that cannot be used is refused by one sentence that names the file and the key."""

from __future__ import annotations

import pytest

from relforge.stages.match.table_file import TableError
from relforge.stages.match.vocabulary import load

FAULTS = {
    "yaml": [
        ("on: [man]", "line 1: key 'on' is a YAML bool, not text; write it in quotes"),
        ("person: [man]\n7: [man]", "line 2: key '7' is a YAML int"),
        ("null: [man]", "key 'null' is a YAML null"),
        ("2024-01-02: [man]", "is a YAML timestamp"),
        ("[a, b]: [man]", "line 1: a key is a list or a mapping"),
        (
            "classes: {person: [man]}\nhypernyms:",
            "'hypernyms' needs a mapping to lists of classes, found nothing",
        ),
        ("classes: {person: [man]}\nexceptions: [7]", "exceptions needs a list of phrases, and 7 is no text"),
        ("person: [man\n", "not valid YAML: line 2: expected ',' or ']'"),
        ("person: [man, true]", "class 'person' needs a list of words, and True is no text"),
        ("person: man", "class 'person' needs a list of words, e.g. [man], found 'man'"),
        ("person: ['']", "class 'person' has an entry without a letter"),
        ("' ': [man]", "has a key without a name"),
        (
            "classes: {horse: []}\nhypernyms: {animal: horse}",
            "hypernyms: word 'animal' needs a list of classes",
        ),
        (
            "classes: {horse: []}\nexceptions: man horse",
            "exceptions needs a list of phrases, e.g. [man horse]",
        ),
        ("person: [a]\nhorse: [b]\nperson: [c]", "key 'person' is there twice, on lines 1 and 3"),
        ("classes: {horse: []}\nhypernyms: {animal: [hrose]}", "'hrose'; did you mean 'horse'?"),
        (
            "classes: {horse: []}\nnames: {cow: [cattle]}",
            "no table has the class 'cow'; add it under 'classes'",
        ),
        ("hypernyms: {animal: [horse]}", "'hypernyms' needs the key 'classes' beside it"),
        ("classes: {}\nextra: 1", "unknown keys ['extra']"),
        ("", "mapping of class to list of words, found nothing"),
        ("[" * 3000, "inside each other"),
        ("person: 2024-13-45", "a value cannot be read"),
    ],
    "json": [
        ('{"person": ["man"], "person": ["lady"]}', "key 'person' is there twice"),
        ('{"person": ["man"', "not valid JSON"),
        ('{"person": [7]}', "7 is no text"),
        ("[" * 100000, "inside each other"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "text", "message"), [(k, *one) for k, all_ in FAULTS.items() for one in all_]
)
def test_a_fault_is_one_sentence(tmp_path, kind: str, text: str, message: str) -> None:
    file = tmp_path / f"bad.{kind}"
    file.write_text(text)
    with pytest.raises(TableError) as error:
        load([str(file)])
    sentence = str(error.value)
    assert sentence.startswith(f"{file}: ")
    assert message in sentence
    assert "\n" not in sentence


def test_a_file_that_is_not_utf8_is_refused(tmp_path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes("café: [bistro]".encode("latin-1"))
    with pytest.raises(TableError, match=r"latin.yaml: not UTF-8 text"):
        load([str(file)])


def test_a_byte_order_mark_is_no_part_of_the_first_class(tmp_path) -> None:
    file = tmp_path / "marked.yaml"
    file.write_bytes(b"\xef\xbb\xbfdrone: [quadcopter]")
    assert load([str(file)]).classes == {"drone": ["drone", "quadcopter"]}


def test_tables_that_spell_a_class_differently_add_up(tmp_path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("Persons: [dweller]")
    vocabulary = load(["coco", str(file)])
    assert "dweller" in vocabulary.synonyms("person")
    assert "man" in vocabulary.synonyms("Person")
