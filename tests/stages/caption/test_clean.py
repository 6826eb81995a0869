"""Captions without markup and invisible characters."""

from __future__ import annotations

import pytest

from relforge.stages.caption.clean import clean

RIDING = "a man riding a horse"


@pytest.mark.parametrize(
    ("text", "cleaned", "kinds"),
    [
        (RIDING, RIDING, []),
        ("  a man\triding\na horse ", RIDING, []),
        ("a man&nbsp;riding&#32;a&#xA0;horse", RIDING, ["html"]),
        ("a man &amp; a dog", "a man & a dog", ["html"]),
        ("black&white AT&T Q&A;", "black&white AT&T Q&A;", []),
        ("<b>a man</b> riding <i class='x'>a</i> horse", RIDING, ["html"]),
        ("a man<br/>a dog", "a man. a dog", ["html", "line_separator"]),
        ("a heart <3 and 2 < 3 > 1", "a heart <3 and 2 < 3 > 1", []),
        ("a man rid\u0301ing a horse", RIDING, ["combining_mark"]),
        ("a cafe\u0301", "a caf\u00e9", ["combining_mark"]),
        ("a man riding a hor\u00adse", RIDING, ["invisible"]),
        ("\ufeffa man\u200b riding a horse", RIDING, ["invisible"]),
        ("\u201ca man\u201d riding a \u2018horse\u2019", "\"a man\" riding a 'horse'", ["quotes"]),
        ("the man\u2019s dog", "the man's dog", ["quotes"]),
        ("a man riding a horse\u2028a dog", "a man riding a horse. a dog", ["line_separator"]),
        ("a man.\n\na dog", "a man. a dog", ["line_separator"]),
        ("a man \ud83d riding a horse", RIDING, ["lone_surrogate"]),
        ("a man\x00 riding\x07 a horse", RIDING, ["control"]),
        ("a \U0001f415 on a \U0001f6cb\ufe0f", "a \U0001f415 on a \U0001f6cb\ufe0f", []),
        ("\u2028", "", []),
    ],
)
def test_each_kind_of_markup_is_cleaned_and_named(text: str, cleaned: str, kinds: list[str]) -> None:
    assert clean(text) == (cleaned, kinds)
