"""Things that are not the thing: toys, statues, paper planes, eyeglasses, the wine in its glass."""

from __future__ import annotations

import pytest

from relforge.stages.match.context import is_eyewear
from relforge.stages.match.phrases import PhraseMatcher
from relforge.stages.match.stage import MatchStage
from relforge.stages.match.vocabulary import load


@pytest.fixture(scope="module")
def coco() -> PhraseMatcher:
    vocabulary = load(["coco"])
    return PhraseMatcher(vocabulary, list(vocabulary.classes))


@pytest.mark.parametrize(
    "phrase",
    [
        "a toy car",
        "some toy trucks",
        "a paper airplane",
        "a stuffed giraffe",
        "a painted elephant",
        "a plastic horse",
        "a wooden cow",
        "a fake banana",
        "a group of toy cars",
        "a statue of a horse",
        "a painting of a man",
        "a horse statue",
        "an inflatable dog",
    ],
)
def test_what_has_the_shape_only_is_no_member(coco: PhraseMatcher, phrase: str) -> None:
    assert coco.match(phrase) == []


@pytest.mark.parametrize(
    ("phrase", "category"),
    [
        ("a wooden chair", "chair"),
        ("a paper cup", "cup"),
        ("a stuffed bear", "teddy bear"),
        ("a toy poodle", "dog"),
        ("a brightly painted bus", "bus"),
        ("a red painted bench", "bench"),
        ("a plastic bottle", "bottle"),
        ("a young couple", "person"),
        ("a couple of dogs", "dog"),
        ("a number of people", "person"),
    ],
)
def test_materials_coats_of_paint_and_listed_phrases_are_members(
    coco: PhraseMatcher, phrase: str, category: str
) -> None:
    assert category in {hit.category for hit in coco.match(phrase)}


def test_a_table_may_say_that_a_toy_is_a_member(tmp_path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("classes: {car: [toy car]}")

    assert PhraseMatcher(load(["coco", str(own)]), ["car"]).match("a toy car")


@pytest.mark.parametrize(
    ("person", "predicate", "phrase", "worn"),
    [
        (True, "wear", "glasses", True),
        (True, "with", "glasses", True),
        (True, "have", "dark glasses", True),
        (True, "hold", "two glasses", False),
        (True, "with", "two glasses of wine", False),
        (True, "with", "wine glasses", False),
        (False, "with", "glasses", False),
        (True, "hold", "a glass", False),
    ],
)
def test_glasses_are_worn_or_drunk_from(person: bool, predicate: str, phrase: str, worn: bool) -> None:
    assert is_eyewear(person, predicate, phrase) == worn


def test_glasses_that_are_worn_are_no_wine_glass(rows) -> None:
    result = MatchStage(["coco"]).process(
        {
            "triplets": rows.triplets(("a man", "wear", "glasses"), ("a man", "hold", "a glass")),
            "boxes": rows.boxes("person", "wine glass"),
            "images": rows.table("images", {}),
        }
    )

    assert result.tables["candidates"]["predicate"].to_pylist() == ["hold"]
    assert result.dropped == {"object_names_no_class": 1}


def test_container_and_content_of_one_class_are_no_pair(rows) -> None:
    result = MatchStage(["coco"]).process(
        {
            "triplets": rows.triplets(("wine", "in", "a glass"), ("a glass", "next to", "a glass")),
            "boxes": rows.boxes("wine glass", "wine glass"),
            "images": rows.table("images", {}),
        }
    )

    assert set(result.tables["candidates"]["predicate"].to_pylist()) == {"next to"}
    assert result.dropped == {"container_and_content": 1}
