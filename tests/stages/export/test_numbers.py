"""Numbers of classes: those of the source's list, and what becomes of the others."""

from __future__ import annotations

import pyarrow as pa

from relforge.stages.class_table import Origin, make_classes
from relforge.stages.export.numbers import Categories
from relforge.stages.tables import SCHEMAS


def listed(**numbers: str | None):
    return make_classes(dict.fromkeys(numbers, ()), {name: Origin(n) for name, n in numbers.items()})


def test_classes_have_the_sources_numbers_whether_a_box_has_them_or_not() -> None:
    categories = Categories()
    categories.add(listed(person="1", horse="19", dog="18"))

    assert categories.number("horse") == 19
    assert [row["id"] for row in categories.rows()] == [1, 18, 19]


def test_the_same_list_again_changes_nothing() -> None:
    categories = Categories()
    for _ in range(2):
        categories.add(listed(person="1", horse="19"))

    assert [(row["name"], row["id"]) for row in categories.rows()] == [("person", 1), ("horse", 19)]


def test_of_two_lists_that_disagree_the_first_has_its_way() -> None:
    categories = Categories()
    categories.add(listed(person="1", horse="2"))
    categories.add(listed(horse="1", dog="2", cat="7"))

    assert {row["name"]: row["id"] for row in categories.rows()} == {
        "person": 1,
        "horse": 2,
        "dog": 8,
        "cat": 7,
    }


def test_classes_without_a_number_get_the_next_free_ones() -> None:
    categories = Categories()
    categories.add(listed(zebra=None, apple=None, person="2"))

    assert [categories.number(name) for name in ("lamp", "zebra", "apple", "person")] == [5, 4, 3, 2]


def test_a_list_without_numbers_counts_from_one() -> None:
    categories = Categories()
    categories.add(listed(zebra=None, apple=None))

    assert [(row["name"], row["id"]) for row in categories.rows()] == [("apple", 1), ("zebra", 2)]


def test_numbers_that_are_texts_stay_texts_behind_the_others() -> None:
    categories = Categories()
    categories.add(listed(person="p1", horse="3"))

    assert [(row["name"], row["id"]) for row in categories.rows()] == [("horse", 3), ("person", "p1")]


def test_supercategory_and_synonyms_of_the_source_are_listed() -> None:
    row = {"category": "dog", "synonyms": ["hound"], "source_id": "18", "supercategory": "animal"}
    categories = Categories()
    categories.add(pa.Table.from_pylist([row], SCHEMAS["classes"]))

    assert categories.rows() == [{"id": 18, "name": "dog", "supercategory": "animal", "synonyms": ["hound"]}]
