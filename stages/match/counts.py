"""How many things a noun phrase speaks of."""

from __future__ import annotations

from relforge.stages.match.words import singular, words

SEVERAL = 0
"""More than one, and no number said."""
UNKNOWN = -1
"""The phrase does not tell: "broccoli", "skis"."""

_UP_TO_TWELVE = "one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {word: number for number, word in enumerate(_UP_TO_TWELVE.split(), 1)} | {
    "both": 2,
    "couple": 2,
    "pair": 2,
    "duo": 2,
    "twin": 2,
    "trio": 3,
    "dozen": 12,
}
_MANY_WORDS = "several many few some multiple numerous various lots assorted all"
_MANY = frozenset(_MANY_WORDS.split())
_SINGLE_WORDS = "a an the this that another each every single his her its their my your our"
_SINGLE = frozenset(_SINGLE_WORDS.split())
_PORTIONS = frozenset(["piece", "slice", "type", "kind", "sort"])
_TWO_PARTS = "scissors glasses sunglasses goggles pants jeans shorts trousers skis chopsticks binoculars"
_ONE_IN_THE_PLURAL = frozenset(_TWO_PARTS.split())
_PLURALS = frozenset(["people", "cattle", "folks"])
_BIGGEST = 99
"""A larger figure in a caption is a number on a shirt or a bus."""


def read_count(text: str, head: str, quantities: frozenset[str]) -> int:
    """The number of things, `SEVERAL` or `UNKNOWN`.

    Args:
        text: the phrase, e.g. "two men", "a group of people".
        head: its head noun as it is in the text; empty: the last word before "of".
        quantities: nouns that count what follows their "of", in the singular.
    """
    found = words(text)
    if not found:
        return UNKNOWN
    at = found.index("of") if "of" in found[1:] else len(found)
    counter = singular(found[at - 1])
    if counter in quantities and counter not in _PORTIONS:
        if at < len(found) and found[-1] in _ONE_IN_THE_PLURAL:
            return 1
        return _NUMBERS.get(counter, SEVERAL)
    noun = (words(head) or found[at - 1 : at])[-1]
    before = found[: found.index(noun)] if noun in found else found[:-1]
    for word in before:
        if (number := _NUMBERS.get(word)) is not None:
            return number
        if word.isdecimal() and 0 < int(word) <= _BIGGEST:
            return int(word)
    if noun in _ONE_IN_THE_PLURAL:
        return UNKNOWN
    if noun in _PLURALS or singular(noun) != noun:
        return SEVERAL
    if _SINGLE & set(before):
        return 1
    return SEVERAL if _MANY & set(before) else UNKNOWN
