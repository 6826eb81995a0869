"""A table of raw answers and what becomes of them; any text ends in exactly one place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.vlm.client import Answer, Request, Sampling
from relforge.vlm.schema import (
    MAX_RELATIONS,
    Relation,
    is_refusal,
    read_judgement,
    read_relations,
    read_sentence,
    relations_schema,
    retry,
)

BOXES = (1, 2, 3)
ON = '{"relations": [{"subject": 1, "predicate": "on", "object": 2}]}'


def entry(subject: Any = 1, predicate: Any = "on", object: Any = 2) -> str:
    return json.dumps({"relations": [{"subject": subject, "predicate": predicate, "object": object}]})


def of(*predicates: str) -> str:
    return json.dumps({"relations": [{"subject": 1, "predicate": one, "object": 2} for one in predicates]})


@pytest.mark.parametrize(
    ("text", "finish", "verdict", "relations", "dropped"),
    [
        (ON, "stop", "ok", 1, {}),
        (f"```json\n{ON}\n```", "stop", "ok", 1, {}),
        (f"\n```\n{ON}\n```\n", "stop", "ok", 1, {}),
        ('[{"subject": 1, "predicate": "on", "object": 2}]', "stop", "ok", 1, {}),
        ('{"relations": []}', "stop", "ok", 0, {}),
        (ON, "length", "ok", 1, {}),  # whole, whatever the server says
        (ON[:-5], "length", "truncated", 0, {}),
        ("", "stop", "truncated", 0, {}),
        ('{"relations": [' + " \n" * 500, "length", "truncated", 0, {}),  # a loop of white space
        (" \n\t" * 300, "length", "truncated", 0, {}),
        (" \n\t" * 300, "stop", "truncated", 0, {}),
        (ON[:-5], "stop", "invalid_json", 0, {}),
        (f"Here it is: {ON}", "stop", "invalid_json", 0, {}),
        ("{'relations': []}", "stop", "invalid_json", 0, {}),  # Python's, which is never evaluated
        ('{"relations": {"1": 2}}', "stop", "invalid_json", 0, {}),
        ('{"edges": []}', "stop", "invalid_json", 0, {}),
        ("[" * 100_000, "stop", "invalid_json", 0, {}),
        ("3", "stop", "invalid_json", 0, {}),
        ("I'm sorry, but I can't help with identifying people.", "stop", "refused", 0, {}),
        ("I cannot assist with that.", "stop", "refused", 0, {}),
        ("As an AI language model, I see no image.", "stop", "refused", 0, {}),
        ("anything", "content_filter", "refused", 0, {}),
        (entry(subject=9), "stop", "ok", 0, {"unknown_box": 1}),
        (entry(object=0), "stop", "ok", 0, {"unknown_box": 1}),
        (entry(object=1), "stop", "ok", 0, {"same_box": 1}),
        (entry(subject="1"), "stop", "ok", 0, {"malformed": 1}),
        (entry(subject=True), "stop", "ok", 0, {"malformed": 1}),
        (entry(subject=1.0), "stop", "ok", 0, {"malformed": 1}),
        (entry(predicate=None), "stop", "ok", 0, {"malformed": 1}),
        ('{"relations": ["1 on 2", {"subject": 1}, 7]}', "stop", "ok", 0, {"malformed": 3}),
        (entry(predicate=""), "stop", "ok", 0, {"bad_predicate": 1}),
        (entry(predicate="is a b c d e f"), "stop", "ok", 0, {"bad_predicate": 1}),
        (entry(predicate="<script>"), "stop", "ok", 0, {"bad_predicate": 1}),
        (entry(predicate="100"), "stop", "ok", 0, {"bad_predicate": 1}),
        (of("on", "ON", " on  "), "stop", "ok", 1, {"duplicate": 2}),
        (of("on", "next to", "on the other side of the"), "stop", "ok", 3, {}),
        (of(*("a" * n for n in range(1, 68))), "stop", "ok", MAX_RELATIONS, {"beyond_limit": 3}),
    ],
)  # fmt: skip
def test_what_becomes_of_a_raw_answer(
    text: str, finish: str, verdict: str, relations: int, dropped: dict[str, int]
) -> None:
    reading = read_relations(Answer(text, finish), BOXES, BOXES)
    assert (reading.verdict, len(reading.relations), reading.dropped) == (verdict, relations, dropped)


def test_a_relation_has_its_words_in_one_spelling() -> None:
    reading = read_relations(Answer(entry(predicate="  Standing \n next TO ")), BOXES, BOXES)
    assert reading.relations == (Relation(1, "standing next to", 2),)


def test_a_verdict_of_the_client_stands() -> None:
    assert read_relations(Answer(ON, verdict="too_long"), BOXES, BOXES).verdict == "too_long"
    assert read_sentence(Answer("a dog", verdict="server_error")) == ("", "server_error")


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
    ).map(json.dumps),
    st.sampled_from(["stop", "length", "content_filter"]),
)
def test_any_text_ends_in_one_place(text: str, finish: str) -> None:
    reading = read_relations(Answer(text, finish), BOXES, BOXES)
    assert reading.verdict in ("ok", "truncated", "invalid_json", "refused")
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
    sentence, verdict = read_sentence(Answer(text, finish))
    assert bool(sentence) == (verdict == "ok")
    assert sentence.isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man rides a horse.", ("A man rides a horse.", "ok")),
        ('\n "A man rides a horse."\nThis is because ...', ("A man rides a horse.", "ok")),
        ("a\x00 \x1b[31mman\u202e", ("a [31mman", "ok")),
        ("   \n ", ("", "truncated")),
        ("Sorry, I can't see it.", ("", "refused")),
    ],
)
def test_what_becomes_of_a_sentence(text: str, expected: tuple[str, str]) -> None:
    assert read_sentence(Answer(text)) == expected


@pytest.mark.parametrize("text", ["A sorry sight", "an island", "I see a man"])
def test_what_is_no_refusal(text: str) -> None:
    assert not is_refusal(text)


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


def test_a_question_is_asked_again_once_and_as_another_one() -> None:
    request = Request("1", "p-0", "propose", [], "?", sampling=Sampling(max_tokens=50), sample=2)
    longer = retry(request, "truncated")
    assert longer is not None
    assert (longer.sampling.max_tokens, longer.request_id) == (100, "p-0-again")
    assert longer.sample != request.sample
    other = retry(request, "invalid_json")
    assert other is not None
    assert (other.sampling.max_tokens, other.sample != 2) == (50, True)
    assert retry(other, "invalid_json") is None
    assert retry(request, "refused") is None
    assert retry(request, "ok") is None


def test_the_schema_is_one_and_knows_the_boxes() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(relations_schema([1], BOXES))
    validator.check_schema(validator.schema)
    assert validator.is_valid(json.loads(ON))
    for wrong in (entry(subject=2), entry(object=9), entry(predicate="A1"), '{"relations": 1}'):
        assert not validator.is_valid(json.loads(wrong))
