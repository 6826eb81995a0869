"""When two spellings are one class, and which words a class's name offers."""

from __future__ import annotations

import pytest

from relforge.stages.class_names import (
    class_key,
    class_words,
    group_spellings,
    own_names,
    qualifiers,
    spell_as,
)


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (["person", "Person", "person ", " Persons", "PEOPLE"], "person"),
        (["motor_bike", "motor bike", "Motor-Bikes", "MotorBike", "motorbike"], "motorbike"),
        (["TrafficLight", "traffic light", "traffic_lights"], "trafficlight"),
        (["TVMonitor", "tv monitor"], "tvmonitor"),
        (["Bat (Animal)", "bat_(animal)", "Bats(animal)"], "bat(animal)"),
        (["cabinet / shelf", "Cabinet/Shelf"], "cabinet/shelf"),
        (["iPod", "ipod", "IPOD"], "ipod"),
        (["DVDs", "dvd"], "dvd"),
        (["ﬁre hydrant", "fire hydrant"], "firehydrant"),
        (["***"], "***"),
    ],
)
def test_spellings_of_one_class_have_one_key(names: list[str], key: str) -> None:
    assert {class_key(name) for name in names} == {key}


@pytest.mark.parametrize(
    ("one", "other"),
    [("glasses", "glass"), ("bow_(weapon)", "bow (ribbon)"), ("bat", "bat (animal)"), ("man", "woman")],
)
def test_other_things_have_other_keys(one: str, other: str) -> None:
    assert class_key(one) != class_key(other)


def test_words_of_a_name() -> None:
    assert class_words("  TrafficLight ") == "traffic light"
    assert class_words("car_(automobile)") == "car (automobile)"


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("horse, pony", ["horse", "pony"]),
        ("Bat (Animal)", ["bat"]),
        ("monitor_(computer_equipment) computer_monitor", ["monitor", "computer monitor"]),
        ("cutting/chopping board", ["cutting board", "chopping board"]),
        ("(unknown)", ["(unknown)"]),
    ],
)
def test_a_name_offers_its_parts(name: str, offered: list[str]) -> None:
    assert own_names(name) == offered


def test_brackets_qualify() -> None:
    assert qualifiers("Bat (Animal)") == ["animal"]
    assert qualifiers("bat") == []


def test_spellings_of_one_class_are_grouped_in_their_order() -> None:
    assert group_spellings(["dog", "Person", "person ", "dog"]) == {
        "dog": ["dog"],
        "person": ["Person", "person "],
    }


def test_names_are_spelt_as_a_list_has_them() -> None:
    known = ["person", "Person", "dog"]
    found = spell_as(["Person", "PERSONS", "Dogs", "cat"], known)
    assert found == {"Person": "Person", "PERSONS": "person", "Dogs": "dog", "cat": "cat"}
