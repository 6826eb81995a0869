"""Inflection of English verbs, and the word lists behind it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "word_lists"
VERBS = _FOLDER / "verbs.txt"
VOWELS = "aeiou"


@cache
def sections(path: Path) -> dict[str, list[str]]:
    """Entries of a word list by `[section]`, in file order and once each.

    A section with `|` separates its entries by it (they hold spaces), any other by white space.
    """
    texts: dict[str, str] = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
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
def forms(pos: str, lemma: str) -> tuple[str, ...]:
    """Irregular forms of a lemma."""
    return tuple(form for form, base in irregular()[pos].items() if base == lemma)


def third_person(verb: str) -> str:
    """`ride` -> `rides`."""
    if verb in ("have", "be"):
        return {"have": "has", "be": "is"}[verb]
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ies"
    return verb + "s"


def gerund(verb: str) -> str:
    """`ride` -> `riding`, `sit` -> `sitting`, `lie` -> `lying`."""
    known = [form for form in forms("verb", verb) if form.endswith("ing")]
    if known:
        return known[0]
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return doubled(verb) + "ing"


def doubled(verb: str) -> str:
    """Double the last consonant of a one-syllable verb: `chop` -> `chopp`."""
    vowels = sum(letter in VOWELS for letter in verb)
    short = len(verb) > 2 and verb[-1] not in VOWELS + "wxyh" and verb[-2] in VOWELS and vowels == 1
    return verb + verb[-1] if short else verb


def verb_forms(phrase: str) -> list[str]:
    """A verb phrase with its first word as a predicate may have it: `sit on`, `sitting on`, `sits on`."""
    first, *rest = phrase.split()
    twice = f"{first}{first[-1]}ing"  # controlling: the stress decides, which the spelling hides
    return [" ".join([form, *rest]) for form in (first, gerund(first), twice, third_person(first))]
