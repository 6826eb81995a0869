"""A claim: which rows belong together, how many things its captions speak of, and how sure the parser is."""

from __future__ import annotations

import pyarrow as pa
import pytest

from relforge.stages.match.counts import SEVERAL, UNKNOWN, read_count
from relforge.stages.match.phrases import QUANTITY_NOUNS
from relforge.stages.match.stage import MatchStage


def match(rows, boxes, *facts, triplets=None, **options):
    given = rows.triplets(*facts) if triplets is None else triplets
    tables = {"triplets": given, "boxes": boxes, "images": rows.table("images", {})}
    return MatchStage(**options).process(tables).tables["candidates"]


def column(table, *names):
    return sorted(set(zip(*(table[name].to_pylist() for name in names), strict=True)), key=str)


def test_rows_of_a_claim_have_its_number_and_how_many_they_are(rows) -> None:
    found = match(
        rows, rows.boxes("person", "person", "dog"), ("a man", "walks", "a dog"), ("a man", "sees", "a man")
    )

    assert column(found, "predicate", "claim_id", "alternatives") == [("sees", 1, 2), ("walks", 0, 2)]


@pytest.mark.parametrize(
    ("text", "head", "count"),
    [
        ("a man", "man", 1),
        ("two men", "men", 2),
        ("12 people", "people", 12),
        ("people", "people", SEVERAL),
        ("several dogs", "dogs", SEVERAL),
        ("a group of people", "people", SEVERAL),
        ("a couple of dogs", "dogs", 2),
        ("a couple", "couple", 2),
        ("a family", "family", SEVERAL),
        ("a slice of pizza", "pizza", 1),
        ("a pair of skis", "skis", 1),
        ("skis", "skis", UNKNOWN),
        ("broccoli", "broccoli", UNKNOWN),
        ("number 1234 buses", "buses", SEVERAL),
        ("", "", UNKNOWN),
    ],
)
def test_phrases_say_how_many_things_they_speak_of(text, head, count) -> None:
    assert read_count(text, head, QUANTITY_NOUNS) == count


def test_the_commonest_count_of_a_claims_captions_is_its_own_and_none_is_null(rows) -> None:
    facts = [("two men", "ride", "horses"), ("men", "ride", "horses"), ("two men", "ride", "skis")]
    boxes = rows.boxes("person", "horse", "skis")
    said = rows.triplets(*facts, ("two men", "ride", "horses"))
    found = match(rows, boxes, triplets=said)

    assert column(found, "predicate", "subject_count", "object_count") == [
        ("ride", 2, 0),
        ("ride", 2, None),
    ]


def test_a_claim_has_the_largest_confidence_of_its_triplets(rows) -> None:
    boxes = rows.boxes("person", "horse")
    fact = ("a man", "rides", "a horse")
    low, high = (
        rows.triplets(fact, confidence=value, caption_id=at) for at, value in enumerate((0.25, 0.75))
    )
    assert match(rows, boxes, triplets=pa.concat_tables([low, high]))["confidence"].to_pylist() == [0.75]
    assert match(rows, boxes, fact)["confidence"].to_pylist() == [None]


def test_each_other_are_those_who_do_it(rows) -> None:
    boxes = rows.boxes("person", "person")
    found = match(rows, boxes, ("two men", "talk to", "each other"))

    assert column(found, "subject_box", "object_box", "object_count") == [(0, 1, 2), (1, 0, 2)]


def test_they_are_those_of_the_triplet_before_in_the_same_caption(rows) -> None:
    boxes = rows.boxes("cow", "bench", "pizza")
    facts = [("cows", "stand near", "a bench"), ("they", "eat", "pizza")]

    assert set(match(rows, boxes, *facts)["predicate"].to_pylist()) == {"stand near", "eat"}
    assert match(rows, boxes, facts[1]).num_rows == 0


def test_a_family_or_a_crowd_without_of_are_people(rows) -> None:
    boxes = rows.boxes("person", "pizza")

    assert match(rows, boxes, ("a family", "eats", "a pizza")).num_rows == 1
    assert match(rows, boxes, ("the crowd", "eats", "a pizza")).num_rows == 1
