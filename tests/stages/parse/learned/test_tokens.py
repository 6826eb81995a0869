"""Words of a caption and their places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relforge.stages.parse.learned.tokens import LIMIT, opening, words


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a man on a bench", ["a", "man", "on", "a", "bench"]),
        ("A Man's T-shirt, red.", ["a", "man", "'", "s", "t-shirt", ",", "red"]),
        ("a man 's hat", ["a", "man", "'", "s", "hat"]),
        ("the dog isn't here", ["the", "dog", "isn't", "here"]),
        ("ein Mädchen  mit Äpfeln", ["ein", "mädchen", "mit", "äpfeln"]),
        ("3.5 inches", ["3.5", "inches"]),
        ("", []),
        (" ... ", []),
    ],
)
def test_captions_split_into_lower_case_words(caption: str, expected: list[str]) -> None:
    assert words(caption).text == expected


@given(st.text(max_size=80))
def test_every_word_stands_where_its_offsets_say(caption: str) -> None:
    found = words(caption)

    for text, start, end in zip(found.text, found.start, found.end, strict=True):
        assert caption[start:end].lower().replace("’", "'") == text


@given(st.text(alphabet="ab 1", max_size=40))
def test_plain_captions_take_a_shortcut_to_the_same_words(caption: str) -> None:
    assert words(caption).text == caption.split()


def test_words_beyond_the_limit_are_left_out_and_reported() -> None:
    found = words("cat " * (LIMIT + 5))

    assert len(found.text) == LIMIT
    assert not found.complete


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
