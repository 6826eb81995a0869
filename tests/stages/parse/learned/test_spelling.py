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
