"""When two class names mean the same class: the one rule, for matching, exports, configs and evaluators.

Data sets spell a class as they like: `Person`, `person `, `Persons`, `motor_bike`, `TrafficLight`,
`Bat (Animal)`, `car_(automobile)`, `horse, pony`. Tables keep every name as the source has it; whoever
compares names compares their keys.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from relforge.stages.match.words import singular

_NEW_WORD = re.compile(r"(?<=[a-z][a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
"""`TrafficLight`, `TVMonitor`; neither `iPod` nor `DVDs`."""

_BRACKETS = re.compile(r"\([^()]*\)")
_LISTED = re.compile(r"[,;|]")
_OTHER_NAME = re.compile(r"[/,;|]")
_PLURALS = {"people": "person", "men": "man", "women": "woman"}
_NO_PLURALS = frozenset({"glasses", "news", "goods"})
"""Names that are another thing in the singular."""


@lru_cache(maxsize=65536)
def class_words(name: str) -> str:
    """A class name as lower-case words: `TrafficLight` -> `traffic light`, `Bat_(Animal)` -> `bat (animal)`.

    Spaces are single, and none is around slashes; plurals, brackets and hyphens stay.
    """
    text = _NEW_WORD.sub(" ", unicodedata.normalize("NFKC", name)).casefold().replace("_", " ")
    text = " ".join(text.replace("(", " (").replace(")", ") ").split())
    return re.sub(r"\s*/\s*", "/", text).replace("( ", "(").replace(" )", ")")


@lru_cache(maxsize=65536)
def class_key(name: str) -> str:
    """What equal classes have in common: lower-case letters and digits of the singular, brackets and slashes.

    `Motor_Bikes`, `motor bike` and `motorbike` are one class; `bow_(weapon)` and `bow (ribbon)` are two. A
    name without a letter or digit is its own key.
    """
    text = class_words(name)
    if text in _NO_PLURALS:
        return text
    one = re.sub(r"[^\W_]+", lambda word: _PLURALS.get(word[0]) or singular(word[0]), text)
    return re.sub(r"[^\w/(),;|]", "", one) or text or name


def own_names(name: str) -> list[str]:
    """The words that a class's name offers, as `class_words`.

    Slashes, commas and brackets separate names: `cutting/chopping board` -> cutting board, chopping board;
    `horse, pony` -> horse, pony; `bat (animal)` -> bat.
    """
    pieces = (piece.strip() for piece in _BRACKETS.split(class_words(name)))
    found = [one for piece in pieces if piece for one in _split(piece)]
    return list(dict.fromkeys(found)) or [class_words(name) or name]


def qualifiers(name: str) -> list[str]:
    """What is in a name's brackets: `bat (animal)` -> animal."""
    return [found[1:-1].strip() for found in _BRACKETS.findall(class_words(name))]


def group_spellings(names: Iterable[str]) -> dict[str, list[str]]:
    """Class key -> the names that have it, in the order given."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        found.setdefault(class_key(name), []).append(name)
    return found


def spell_as(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Each name -> the known name that means the same class, or itself where none does.

    A known name is its own; of known names that mean one class, others go to the first.
    """
    known = list(known)
    exact, first = set(known), {class_key(name): name for name in reversed(known)}
    return {name: name if name in exact else first.get(class_key(name), name) for name in names}


def _split(text: str) -> list[str]:
    parts = [part.strip() for part in _OTHER_NAME.split(text) if part.strip()]
    if len(parts) < 2 or _LISTED.search(text):
        return parts
    # `cutting/chopping board`: the first part lacks the noun of the last one. `monitor/tv`: it does not.
    noun = parts[-1].split()[-1]
    return [f"{part} {noun}" if " " in parts[-1] and " " not in part else part for part in parts]
