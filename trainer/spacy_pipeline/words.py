"""Word lists of the caption grammar, and the inflection that only it needs."""

from __future__ import annotations

from pathlib import Path

from relforge.stages.parse import inflection
from relforge.stages.parse.inflection import VERBS, VOWELS, doubled, forms

_FOLDER = Path(__file__).resolve().parent / "word_lists"


def sections(name: str) -> dict[str, list[str]]:
    """Entries of a word list by `[section]`: `verbs`, `nouns`, `adjectives` or `prepositions`."""
    return inflection.sections(VERBS if name == "verbs" else _FOLDER / f"{name}.txt")


def plural(noun: str) -> str:
    """Plural of a noun or noun compound."""
    *front, noun = noun.split()
    known = forms("noun", noun)
    if known and (set(known) != {noun} or not noun.endswith("s")):
        form = next((form for form in known if form != noun), noun)
    elif noun.endswith(("s", "x", "z", "ch", "sh")):
        form = noun + "es"
    elif noun.endswith("y") and noun[-2] not in VOWELS:
        form = noun[:-1] + "ies"
    else:
        form = noun + "s"
    return " ".join([*front, form])


def participle(verb: str) -> str:
    """Past participle: `park` -> `parked`, `hang` -> `hung`, `ride` -> `ridden`."""
    known = [form for form in forms("verb", verb) if not form.endswith(("ing", "s")) or form == verb]
    if known:
        return known[-1]
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ied"
    return doubled(verb) + "ed"
