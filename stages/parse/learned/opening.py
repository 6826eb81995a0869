"""Words at the start of a caption that speak of the picture and not of what it shows."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.stages.parse.learned.tokens import Words

ARTICLES = frozenset({"a", "an", "the", "this", "that"})
KINDS = frozenset({"picture", "photo", "photograph", "image", "pic", "snapshot", "closeup", "close-up"})
MANNERS = frozenset({"close", "up", "black", "and", "white", "blurry", "colour", "color", "old", "vintage"})


def opening(words: Sequence[str]) -> int:
    """How many words at the start to pass over: "this is a photo of", "a black and white picture of".

    "a picture of a dog on the wall" may speak of a framed picture; captions of whole images, which
    this parser is for, hardly ever do.
    """
    at = 0
    if list(words[:2]) in (["this", "is"], ["here", "is"], ["it", "is"]):
        at = 2
    if at < len(words) and words[at] in ARTICLES:
        at += 1
    while at < len(words) and words[at] in MANNERS:
        at += 1
    closed = at >= 2 and list(words[at - 2 : at]) == ["close", "up"]
    if at < len(words) and words[at] in KINDS:
        at += 1
    elif not closed:
        return 0
    return at + 1 if at + 1 < len(words) and words[at] == "of" else 0


def without_opening(spelt: Words) -> Words:
    """The words without an opening such as "a picture of"."""
    skip = opening(spelt.text)
    if not skip:
        return spelt
    return Words(spelt.text[skip:], spelt.start[skip:], spelt.end[skip:], spelt.complete)
