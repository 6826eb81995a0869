"""Words of a caption and where they are in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

WORD = re.compile(r"[^\W_]+(?:[-'’.][^\W_]+)*|[^\w\s]|_+")
"""A run of letters and digits with inner hyphens, apostrophes and dots (`t-shirt`, `3.5`), or one mark."""

CLITIC = re.compile(r"(.+)['’](s|re|m|ve|ll|d)$", re.IGNORECASE)
"""`man's` is three words, `man`, `'` and `s`, as is the `man 's` of treebanks; `isn't` is one."""

FINAL = {".", "!", "?", ";"}

LIMIT = 120
"""Words of one caption that are parsed. Captioners write at most 20, people rarely 50."""


@dataclass(frozen=True, slots=True)
class Words:
    """Lower-cased words of one caption.

    Args:
        text: the words, at most `LIMIT`; closing full stops are left off.
        start, end: character span [start, end) of each word in the caption.
        complete: whether the whole caption is covered.
    """

    text: list[str]
    start: list[int]
    end: list[int]
    complete: bool = True


PLAIN = re.compile(r"[a-z0-9]+(?: [a-z0-9]+)*")
"""What most captions are once lower-cased: words of letters and digits, one space apart."""


def words(caption: str) -> Words:
    """Split a caption into words. Any text is accepted; text without words gives an empty `Words`."""
    body = caption.rstrip(" .")
    if body.isascii() and len(body) < 4 * LIMIT:
        body = body.lower()
        if PLAIN.fullmatch(body):
            text = body.split(" ")
            if len(text) <= LIMIT:
                end = list(accumulate(map(len, text), lambda at, size: at + 1 + size))
                return Words(text, [at - len(word) for at, word in zip(end, text, strict=True)], end)
    return _by_rule(caption)


def _by_rule(caption: str) -> Words:
    """Words of any text."""
    text: list[str] = []
    start: list[int] = []
    end: list[int] = []
    complete = True
    for match in WORD.finditer(caption):
        if len(text) >= LIMIT:
            complete = False
            break
        word, first, last = match.group(), match.start(), match.end()
        clitic = CLITIC.match(word) if "'" in word or "’" in word else None
        if clitic:
            cut = first + len(clitic.group(1))
            text += [clitic.group(1).lower(), "'"]
            start += [first, cut]
            end += [cut, cut + 1]
            word, first = clitic.group(2), cut + 1
        text.append(word.lower().replace("’", "'"))
        start.append(first)
        end.append(last)
    while text and text[-1] in FINAL:
        text.pop()
        start.pop()
        end.pop()
    return Words(text, start, end, complete)


ARTICLES = frozenset({"a", "an", "the", "this", "that"})
KINDS = frozenset({"picture", "photo", "photograph", "image", "pic", "snapshot", "closeup", "close-up"})
MANNERS = frozenset({"close", "up", "black", "and", "white", "blurry", "colour", "color", "old", "vintage"})


def opening(words: Sequence[str]) -> int:
    """Number of words at the start that describe the image itself and not what it shows: "this is a photo
    of", "a black and white picture of".

    "a picture of a dog on the wall" may mean a framed picture; in captions of whole images, which this
    parser is for, it hardly ever does.
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
