"""Word lists of the caption grammar, and English inflection."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "word_lists"
_VOWELS = "aeiou"


@cache
def sections(name: str) -> dict[str, list[str]]:
    """Entries of `word_lists/<name>.txt` by `[section]`, in file order and once each.

    A section with `|` separates its entries by it (they hold spaces), any other by white space.
    """
    texts: dict[str, str] = {}
    section = ""
    for line in (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            texts[section] = ""
        elif line and not line.startswith("#"):
            texts[section] += line + "\n"
    return {
        section: list(
            dict.fromkeys(
                entry.strip()
                for entry in (text.replace("\n", "|").split("|") if "|" in text else text.split())
                if entry.strip()
            )
        )
        for section, text in texts.items()
    }


@cache
def irregular() -> dict[str, dict[str, str]]:
    """Part of speech -> inflected form -> lemma, for what the suffix rules get wrong."""
    text = (_FOLDER / "irregular.txt").read_text(encoding="utf-8")
    table: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            table[line.strip("[]")] = {}
        elif line and not line.startswith("#"):
            form, lemma = line.split()
            table[list(table)[-1]].setdefault(form, lemma)
    return table


@cache
def _forms(pos: str, lemma: str) -> tuple[str, ...]:
    return tuple(form for form, base in irregular()[pos].items() if base == lemma)


def plural(noun: str) -> str:
    """Plural of a noun or noun compound."""
    *front, noun = noun.split()
    known = _forms("noun", noun)
    if known and (set(known) != {noun} or not noun.endswith("s")):
        form = next((form for form in known if form != noun), noun)
    elif noun.endswith(("s", "x", "z", "ch", "sh")):
        form = noun + "es"
    elif noun.endswith("y") and noun[-2] not in _VOWELS:
        form = noun[:-1] + "ies"
    else:
        form = noun + "s"
    return " ".join([*front, form])


def third_person(verb: str) -> str:
    """`ride` -> `rides`."""
    if verb in ("have", "be"):
        return {"have": "has", "be": "is"}[verb]
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ies"
    return verb + "s"


def gerund(verb: str) -> str:
    """`ride` -> `riding`, `sit` -> `sitting`, `lie` -> `lying`."""
    known = [form for form in _forms("verb", verb) if form.endswith("ing")]
    if known:
        return known[0]
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return _doubled(verb) + "ing"


def participle(verb: str) -> str:
    """Past participle: `park` -> `parked`, `hang` -> `hung`, `ride` -> `ridden`."""
    known = [form for form in _forms("verb", verb) if not form.endswith(("ing", "s")) or form == verb]
    if known:
        return known[-1]
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ied"
    return _doubled(verb) + "ed"


def _doubled(verb: str) -> str:
    """Double the last consonant of a one-syllable verb: `chop` -> `chopp`."""
    vowels = sum(letter in _VOWELS for letter in verb)
    short = len(verb) > 2 and verb[-1] not in _VOWELS + "wxyh" and verb[-2] in _VOWELS and vowels == 1
    return verb + verb[-1] if short else verb
