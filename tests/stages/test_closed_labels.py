"""Closed label lists: their names and numbers, the spellings that mean them, and files that are no list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relforge.stages.closed_labels import load_labels
from tests.conftest import shared_path


def test_vg150_has_the_names_and_numbers_of_the_published_dictionary() -> None:
    published = json.loads(shared_path("data/vocab/vg/VG-SGG-dicts-with-attri.json").read_text())

    labels = load_labels("vg150")

    for names, key in ((labels.classes, "label_to_idx"), (labels.predicates, "predicate_to_idx")):
        assert {name: number for number, name in enumerate(names, 1)} == published[key]


def test_open_images_has_31_relations_and_takes_every_class() -> None:
    labels = load_labels("open_images")

    assert (len(labels.predicates), labels.classes) == (31, [])
    assert labels.class_name("Mechanical fan") == "Mechanical fan"
    assert labels.predicate_name("inside of") == "inside_of"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("on", "on"),
        ("Next_to", "near"),
        ("ride", "riding"),
        ("sits on", "sitting on"),
        ("wearing", "wearing"),
        ("wears", "wears"),  # two predicates of VG150
        ("juggling", None),
    ],
)
def test_a_predicate_is_found_by_its_spellings(given: str, meant: str | None) -> None:
    assert load_labels("vg150").predicate_name(given) == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("Tennis_Rackets", "racket"),
        ("motorbike", "motorcycle"),
        ("men", "men"),
        ("man", "man"),
        ("gizmo", None),
    ],
)
def test_a_class_is_found_by_its_spellings(given: str, meant: str | None) -> None:
    assert load_labels("vg150").class_name(given) == meant


def test_a_list_of_ones_own_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("classes: [cat, dog]\npredicates: {chases: [chasing, 'runs after']}")

    labels = load_labels(str(path))

    assert (labels.classes, labels.predicates) == (["cat", "dog"], ["chases"])
    assert labels.predicate_name("Runs after") == "chases"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[a]", "expected `predicates`"),
        ("{predicates: {}}", "`predicates` is empty"),
        ("{predicates: {a: []}, colours: []}", "expected `predicates`"),
        ("predicates:\n  on: []", "quote yes, no, on"),
        ("predicates: {a: [c], b: [c]}", "'c' is a spelling of 'b' and of another name"),
        ("predicates: {a: [b], b: []}", "'b' is a spelling of 'a' and of another name"),
        ("predicates: 3", "expected name -> spellings or a list"),
        ("{", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_list_is_refused_in_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    with pytest.raises(ValueError, match=sentence) as refused:
        load_labels(str(path))

    assert "mine.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(ValueError, match=r"'vg200' cannot be read .*; give open_images, vg150 or the path"):
        load_labels("vg200")
