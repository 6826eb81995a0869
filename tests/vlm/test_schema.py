"""A table of raw answers and what becomes of them; any text ends in exactly one place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.vlm.client import Answer
from relforge.vlm.schema import (
    MAX_RELATIONS,
    Relation,
    read_judgement,
    read_relations,
    read_sentence,
    relations_schema,
)

BOXES = (1, 2, 3)
ON = '{"relations": [{"subject": 1, "predicate": "on", "object": 2}]}'


def entry(subject: Any = 1, predicate: Any = "on", object: Any = 2) -> str:
    return json.dumps({"relations": [{"subject": subject, "predicate": predicate, "object": object}]})


def of(*predicates: str) -> str:
    return json.dumps({"relations": [{"subject": 1, "predicate": one, "object": 2} for one in predicates]})


@pytest.mark.parametrize(
    ("text", "verdict", "relations", "dropped"),
    [
        (ON, "ok", 1, {}),
        (f"```json\n{ON}\n```", "ok", 1, {}),
        (f"\n```\n{ON}\n```\n", "ok", 1, {}),
        ('[{"subject": 1, "predicate": "on", "object": 2}]', "ok", 1, {}),
        ('{"relations": []}', "ok", 0, {}),
        ("", "invalid_json", 0, {}),
        ('{"relations": [' + " \n" * 500, "invalid_json", 0, {}),  # a loop of white space
        (" \n\t" * 300, "invalid_json", 0, {}),
        (ON[:-5], "invalid_json", 0, {}),
        (f"Here it is: {ON}", "invalid_json", 0, {}),
        ("{'relations': []}", "invalid_json", 0, {}),  # Python's, which is never evaluated
        ('{"relations": {"1": 2}}', "invalid_json", 0, {}),
        ('{"edges": []}', "invalid_json", 0, {}),
        ("[" * 100_000, "invalid_json", 0, {}),
        ("3", "invalid_json", 0, {}),
        (entry(subject=9), "ok", 0, {"unknown_box": 1}),
        (entry(object=0), "ok", 0, {"unknown_box": 1}),
        (entry(object=1), "ok", 0, {"same_box": 1}),
        (entry(subject="1"), "ok", 0, {"malformed": 1}),
        (entry(subject=True), "ok", 0, {"malformed": 1}),
        (entry(subject=1.0), "ok", 0, {"malformed": 1}),
        (entry(predicate=None), "ok", 0, {"malformed": 1}),
        ('{"relations": ["1 on 2", {"subject": 1}, 7]}', "ok", 0, {"malformed": 3}),
        (entry(predicate=""), "ok", 0, {"bad_predicate": 1}),
        (entry(predicate="is a b c d e f"), "ok", 0, {"bad_predicate": 1}),
        (entry(predicate="<script>"), "ok", 0, {"bad_predicate": 1}),
        (entry(predicate="100"), "ok", 0, {"bad_predicate": 1}),
        (of("on", "ON", " on  "), "ok", 1, {"duplicate": 2}),
        (of("on", "next to", "on the other side of the"), "ok", 3, {}),
        (of(*("a" * n for n in range(1, 68))), "ok", MAX_RELATIONS, {"beyond_limit": 3}),
    ],
)  # fmt: skip
def test_what_becomes_of_a_raw_answer(
    text: str, verdict: str, relations: int, dropped: dict[str, int]
) -> None:
    reading = read_relations(text, BOXES, BOXES)
    assert (reading.verdict, len(reading.relations), reading.dropped) == (verdict, relations, dropped)


def test_a_relation_has_its_words_in_one_spelling() -> None:
    reading = read_relations(entry(predicate="  Standing \n next TO "), BOXES, BOXES)
    assert reading.relations == (Relation(1, "standing next to", 2),)


@settings(max_examples=300, deadline=None)
@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers(-1, 4) | st.floats() | st.text(max_size=12),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["relations", "subject", "predicate", "object", "x"]), inner, max_size=4
            )
        ),
        max_leaves=25,
    ).map(json.dumps)
)
def test_any_text_ends_in_one_place(text: str) -> None:
    reading = read_relations(text, BOXES, BOXES)
    assert reading.verdict in ("ok", "invalid_json")
    if reading.verdict == "ok":
        found = json.loads(text)
        entries = found["relations"] if isinstance(found, dict) else found
        assert len(reading.relations) + sum(reading.dropped.values()) == len(entries)
    else:
        assert not reading.relations
        assert not reading.dropped
    for subject, predicate, object_ in reading.relations:
        assert subject in BOXES
        assert object_ in BOXES
        assert subject != object_
        assert 1 <= len(predicate.split()) <= 6
    assert read_sentence(text).isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man rides a horse.", "A man rides a horse."),
        ('\n "A man rides a horse."\nThis is because ...', "A man rides a horse."),
        ("a\x00 \x1b[31mman\u202e", "a [31mman"),
        ("   \n ", ""),
    ],
)
def test_what_becomes_of_a_sentence(text: str, expected: str) -> None:
    assert read_sentence(text) == expected


@pytest.mark.parametrize(
    ("answer", "p", "mass", "verdict"),
    [
        (Answer("Yes", words={"Yes": 0.6, "yes": 0.2, "No": 0.1, "no": 0.1}), 0.8, 1.0, "ok"),
        (Answer("No", words={"Yes": 0.15, "No": 0.45}), 0.25, 0.6, "ok"),
        (Answer("The", words={"Yes": 0.2, "No": 0.2}), None, 0.4, "off_topic"),
        (Answer("Yes, it does."), 1.0, 1.0, "ok"),
        (Answer(" no."), 0.0, 1.0, "ok"),
        (Answer("Perhaps yes"), None, 0.0, "off_topic"),
        (Answer(""), None, 0.0, "off_topic"),
    ],
)
def test_a_judgement(answer: Answer, p: float | None, mass: float, verdict: str) -> None:
    found = read_judgement(answer, ("Yes", "yes"), ("No", "no"))
    assert found.p == (None if p is None else pytest.approx(p))
    assert (found.mass, found.verdict) == (pytest.approx(mass), verdict)


def test_the_schema_is_one_and_knows_the_boxes() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(relations_schema([1], BOXES))
    validator.check_schema(validator.schema)
    assert validator.is_valid(json.loads(ON))
    for wrong in (entry(subject=2), entry(object=9), entry(predicate="A1"), '{"relations": 1}'):
        assert not validator.is_valid(json.loads(wrong))
