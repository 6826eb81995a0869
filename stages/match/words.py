"""Words of a noun phrase and their singular forms, for matching against class synonyms.

Captions come with the parser's lemmas, but parsers get unfamiliar words ("surfboards") wrong, so
plural endings are undone here as well. Matching tries every form; a wrong singular ("gla" for "glas")
matches nothing and does no harm.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:'(?!s\b)[^\W_]+)*", re.UNICODE)

_IRREGULAR = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "mice": "mouse",
    "oxen": "ox",
    "knives": "knife",
    "calves": "calf",
    "loaves": "loaf",
    "shelves": "shelf",
    "scarves": "scarf",
    "leaves": "leaf",
    "wives": "wife",
    "buses": "bus",
    "busses": "bus",
    "skis": "ski",
    "persons": "person",
    "clothes": "clothes",
}
_KEEP = frozenset(
    {"glass", "bus", "dress", "grass", "gas", "cross", "lens", "tennis", "lettuce", "this", "its"}
)


def words(text: str) -> tuple[str, ...]:
    """Lower-case words; hyphens, punctuation and possessive `'s` separate or vanish."""
    return tuple(_WORD.findall(re.sub(r"['’]s\b", "", text.casefold())))


@lru_cache(maxsize=65536)
def singular(word: str) -> str:
    """The singular of an English noun, or the word itself."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for suffix in ("women", "men"):
        if word.endswith(suffix) and len(word) > len(suffix) + 1:
            return word[: -len(suffix)] + _IRREGULAR[suffix]
    if word in _KEEP or len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + ("ie" if word in {"cookies", "zombies", "hoodies", "selfies", "doggies"} else "y")
    if word.endswith(("ches", "shes", "sses", "xes", "zes", "oes")):
        return word[:-2]
    return word[:-1]
