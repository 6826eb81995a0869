"""Slips of spelling."""

from __future__ import annotations

import pytest

from relforge.stages.parse.learned.spelling import Speller


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("womna", "woman"), ("womman", "woman"), ("wiman", "woman"), ("skatebord", "skateboard"),
        ("woman", "woman"), ("golem", "golem"), ("wman", "wman"), ("oman", "oman"), ("w0man", "w0man"),
    ],
)  # fmt: skip
def test_a_word_one_slip_from_a_common_one_is_mended(slip: str, meant: str) -> None:
    assert Speller(["woman", "skateboard", "dog"]).correct(slip) == meant


def test_known_words_are_never_mended_and_the_commoner_word_wins() -> None:
    speller = Speller(["house", "horse", "houses"])

    assert speller.correct("house") == "house"
    assert speller.correct("hoise") == "house"
    assert speller.correct("horsse") == "horse"


@pytest.mark.parametrize("word", ["keyboards", "backing", "stripped", "raises"])
def test_a_form_of_a_known_word_is_no_slip(word: str) -> None:
    known = ["keyboard", "keyboarde", "back", "baking", "strip", "striped", "raise", "raised"]

    assert Speller(known).correct(word) == word
