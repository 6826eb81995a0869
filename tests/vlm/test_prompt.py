"""Prompts: built in by id, or files; their places are checked before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from relforge.vlm.frame import whole_image
from relforge.vlm.prompt import PromptError, list_prompts, load_prompt
from relforge.vlm.wording import name_pair, tell_apart, with_article

LEFT, RIGHT = (0.0, 0.0, 10.0, 10.0), (50.0, 5.0, 10.0, 10.0)


@pytest.mark.parametrize("name", list_prompts())
def test_every_built_in_prompt_fits_its_role(name: str) -> None:
    prompt = load_prompt(name, name.split("/")[0])
    assert prompt.name == name
    assert len(prompt.hash) == 64


def test_the_judge_is_asked_in_words_with_the_question_last() -> None:
    frame = whole_image((100, 50), (100, 50), 448)
    words = name_pair(("person", LEFT), ("horse", RIGHT), frame, "none")
    text = load_prompt("judge/1", "judge").fill(words | {"predicate": "riding"})
    assert text == (
        "Does the image show this: the person on the left riding the horse on the right? Answer yes or no."
    )


def test_a_likelihood_is_of_a_plain_sentence() -> None:
    frame = whole_image((100, 50), (100, 50), 448)
    words = name_pair(("person", LEFT), ("orange", RIGHT), frame, "none")
    assert load_prompt("statement/1", "statement").fill(words | {"predicate": "holding"}) == (
        "a person holding an orange"
    )


def test_coordinates_follow_the_name_they_belong_to() -> None:
    frame = whole_image((100, 50), (100, 50), 448)
    words = name_pair(("person", LEFT), ("horse", RIGHT), frame, "relative1000")
    assert words["the_subject"] == "the person on the left [0,0,100,200]"


def test_proposals_are_asked_for_in_two_passes() -> None:
    prompt = load_prompt("propose/1", "propose")
    first, second = (prompt.fill({"boxes": "1: dog", "known": "1 on 2"}, n) for n in (0, 1))
    assert "1: dog" in first
    assert '{"relations": [{"subject": 1' in first
    assert "1 on 2" in second
    assert "1 on 2" not in first


def test_a_file_of_ones_own_is_told_from_others_by_its_hash(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("{subject} {predicate} {object}?\r\n")
    prompt = load_prompt(str(mine), "judge")
    assert prompt.fill({"subject": "a", "predicate": "b", "object": "c", "the_subject": "x"}) == "a b c?"
    mine.write_text("{subject} {predicate} {object}!")
    assert load_prompt(str(mine), "judge").hash != prompt.hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Is it {colour}? {predicate}", r"\{colour\} is no place of a judge prompt; use \{a_object\}"),
        ("Is it so?", r"it lacks \{predicate\}, which a judge prompt needs"),
        ("{predicate.__class__}", r"\{predicate.__class__\} is no place"),
        ("{predicate!r}", "is no place"),
        ("{predicate:>9}", "is no place"),
        ("{}", "is no place"),
        ("{predicate} {", "write braces that are no place twice"),
        ("", "is empty"),
        ("{predicate}\n---\n{predicate}", "has one question"),
        ("{predicate}" + "x" * 40_000, "use 32000 at most"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.txt"
    file.write_text(text)
    with pytest.raises(PromptError, match=message):
        load_prompt(str(file), "judge")


def test_a_prompt_that_is_nowhere_is_refused() -> None:
    with pytest.raises(PromptError, match=r"prompt 'judge/9': neither a file nor built in \(caption"):
        load_prompt("judge/9", "judge")


def test_a_prompt_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes(b"\xff\xfe{predicate}")
    with pytest.raises(PromptError, match="not UTF-8"):
        load_prompt(str(file), "judge")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (LEFT, RIGHT, (("", "on the left"), ("", "on the right"))),
        (RIGHT, LEFT, (("", "on the right"), ("", "on the left"))),
        ((0, 0, 10, 10), (0, 30, 10, 10), (("", "at the top"), ("", "at the bottom"))),
        ((0, 0, 100, 100), (45, 45, 10, 10), (("larger", ""), ("smaller", ""))),
        ((45, 45, 10, 10), (0, 0, 100, 100), (("smaller", ""), ("larger", ""))),
        (LEFT, LEFT, (("", ""), ("", ""))),
    ],
)
def test_two_boxes_are_told_apart_by_where_they_are_or_how_large(first, second, expected) -> None:
    assert tell_apart(first, second) == expected


def test_articles() -> None:
    assert [with_article(noun) for noun in ("person", "Orange", "")] == ["a person", "an Orange", "a "]
