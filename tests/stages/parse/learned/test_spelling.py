"""Slips of spelling, and openings that speak of the picture."""

from __future__ import annotations

import pytest

from relforge.stages.parse.learned.opening import opening
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


@pytest.mark.parametrize(
    ("caption", "skipped"),
    [
        ("a picture of a dog", 3),
        ("this is a photo of a train", 5),
        ("a black and white photo of a street", 6),
        ("a close up of a plate", 4),
        ("a picture on the wall", 0),
        ("a black and white cat", 0),
        ("a picture of", 0),
        ("", 0),
    ],
)
def test_openings_are_passed_over(caption: str, skipped: int) -> None:
    assert opening(caption.split()) == skipped
