"""Why a caption is set aside."""

from __future__ import annotations

import json

import pytest

from relforge.stages.caption.quality import find_fault


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a man riding a horse", None),
        ("", "empty"),
        ("  . ,", "empty"),
        ("a picture of a picture of a dog", "prompt_echo"),
        ("A picture", "prompt_echo"),
        ("picture of a dog", None),
        ("a dog dog dog", "repeated_ngram"),
        ("a very very tall giraffe", None),
        ("a cat and a dog and a dog and a dog", "repeated_ngram"),
        ("a cat on a mat and a dog on a rug", None),
        ("a café with people", None),
        ("a man\u2019s dog \u2013 \u201cRex\u201d", None),
        ("a dog \U0001f415 on a bed", None),
        ("a man riding 一匹马", "non_ascii"),
        ("собака on a bed", "non_ascii"),
    ],
)
def test_each_fault_has_its_reason(text: str, reason: str | None) -> None:
    assert find_fault(text) == reason


def test_without_a_prompt_nothing_is_an_echo() -> None:
    assert find_fault("a picture of a dog", prompt="") is None


def test_captions_of_a_real_captioner_are_sound_but_for_a_handful(shared) -> None:
    rows = json.loads(shared("data/blip/nucleus_karpathy_test_minus_val2017.json").read_text())
    faulty = [row["caption"] for row in rows if find_fault(row["caption"])]
    assert 0 < len(faulty) < 0.005 * len(rows)
