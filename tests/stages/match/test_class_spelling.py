"""Boxes whose class is spelt unlike the tables' are found; names that mean one class count as one class."""

from __future__ import annotations

import pyarrow as pa
import pytest

from relforge.stages.class_table import make_classes
from relforge.stages.match.phrases import PhraseMatcher
from relforge.stages.match.stage import MatchStage
from relforge.stages.match.vocabulary import load


def pairs(rows, fact: tuple[str, str, str], *classes: str, listed: dict | None = None, **options) -> set:
    tables = {
        "triplets": rows.triplets(fact),
        "boxes": rows.boxes(*classes),
        "images": rows.table("images", {}),
        "classes": make_classes(listed or {}),
    }
    found = MatchStage(**options).process(tables).tables["candidates"].to_pylist()
    return {(row["subject_box"], row["object_box"]) for row in found}


@pytest.mark.parametrize(
    ("classes", "fact"),
    [
        (("Persons", "horses"), ("a man", "riding", "a horse")),
        (("person ", "motor_bike"), ("a man", "riding", "a motorcycle")),
        (("PERSON", "TrafficLight"), ("a woman", "near", "a stop light")),
        (("person", "Bat (Animal)"), ("a man", "holding", "a bat")),
        (("people", "car_(automobile)"), ("a boy", "in", "a sedan")),
        (("person", "horse, pony"), ("a man", "riding", "a stallion")),
        (("person", "diningtable"), ("a man", "at", "a dinner table")),
        (("person", "aeroplane"), ("a man", "in", "a jet")),
    ],
)
def test_any_spelling_takes_the_synonyms_of_its_class(rows, classes, fact) -> None:
    assert pairs(rows, fact, *classes) == {(0, 1)}


def test_spellings_of_one_shard_are_one_class(rows) -> None:
    found = pairs(rows, ("a man", "near", "a dog"), "Person", "dog", "person ", "Dogs")
    assert found == {(0, 1), (0, 3), (2, 1), (2, 3)}


def test_labels_of_an_image_do_not_depend_on_its_shard(rows) -> None:
    """One image has `Person`, the other `person`; alone and together they get the same rows."""
    images = [
        {
            "triplets": rows.triplets(("a man", "riding", "a horse"), image_id=image),
            "boxes": rows.boxes(*classes, image_id=image),
            "images": rows.table("images", {"image_id": image}),
        }
        for image, classes in (("1", ("Person", "horse")), ("2", ("person", "Horses")))
    ]
    together = {name: pa.concat_tables([one[name] for one in images]) for name in images[0]}
    alone = [MatchStage().process(one).tables["candidates"] for one in images]
    assert all(table.num_rows == 1 for table in alone)
    assert MatchStage().process(together).tables["candidates"] == pa.concat_tables(alone).combine_chunks()


def test_a_name_in_brackets_takes_no_words_of_another_thing() -> None:
    vocabulary = load(["coco"])
    assert vocabulary.find("mouse_(animal)") == []
    assert vocabulary.find("orange (fruit)") == ["orange"]


def test_synonyms_of_the_source_reach_matching(rows) -> None:
    listed = {"flip-flop_(sandal)": ["thong_(sandal)", "zori"]}
    fact = ("a man", "wearing", "a zori")
    assert pairs(rows, fact, "person", "flip-flop_(sandal)") == set()
    assert pairs(rows, fact, "person", "flip-flop_(sandal)", listed=listed) == {(0, 1)}


def test_a_listed_class_without_a_box_keeps_its_phrases_from_shorter_names(rows) -> None:
    fact = ("a man", "near", "a guide dog")
    assert pairs(rows, fact, "person", "dog") == {(0, 1)}
    assert pairs(rows, fact, "person", "dog", listed={"guide dog": []}) == set()


def test_substring_matching_knows_the_published_spelling_alone(rows) -> None:
    fact = ("a man", "riding", "a pony")
    assert pairs(rows, fact, "person", "horse", method="substring") == {(0, 1)}
    assert pairs(rows, fact, "Persons", "horses", method="substring") == set()


def test_the_names_of_other_datasets_are_classes_of_the_table() -> None:
    vocabulary = load(["coco"])
    matcher = PhraseMatcher(vocabulary, ["sofa", "tvmonitor"])
    assert [hit.category for hit in matcher.match("a loveseat")] == ["sofa"]
    assert [hit.category for hit in matcher.match("a television")] == ["tvmonitor"]


@pytest.mark.parametrize("person", ["person", "Persons", "PEOPLE"])
@pytest.mark.parametrize("glass", ["wine glass", "WineGlass", "wine_glasses"])
def test_rules_about_a_class_hold_in_any_spelling(rows, person: str, glass: str) -> None:
    assert pairs(rows, ("a man", "wearing", "glasses"), person, glass) == set()
    assert pairs(rows, ("a man", "holding", "a glass"), person, glass) == {(0, 1)}
    assert pairs(rows, ("a bronze man", "holding", "a glass"), person, glass) == set()


def test_an_unlisted_class_of_another_image_changes_nothing(rows) -> None:
    """Only boxes tell of `guide dog`, and only in image 2: image 1 is labelled as it is alone."""

    def tables(image: str, *classes: str) -> dict[str, pa.Table]:
        facts = [("a man", "near", "a guide dog"), ("a man", "with", "a guide cane")]
        return {
            "triplets": rows.triplets(*facts, image_id=image),
            "boxes": rows.boxes(*classes, image_id=image),
            "images": rows.table("images", {"image_id": image}),
        }

    images = [tables("1", "person", "dog"), tables("2", "person", "dog", "guide dog", "guide cane")]
    alone = [MatchStage().process(one) for one in images]
    assert [one.tables["candidates"]["object_box"].to_pylist() for one in alone] == [[1], [2, 3]]
    together = MatchStage().process(
        {name: pa.concat_tables([one[name] for one in images]) for name in images[0]}
    )
    assert together.tables["candidates"] == pa.concat_tables([one.tables["candidates"] for one in alone])
    assert together.dropped == {"object_names_no_class": 1} == alone[0].dropped
