"""A synonym table drafted for the classes of a data set, for a person to edit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from relforge.stages.class_names import class_key, class_words, group_spellings, own_names
from relforge.stages.match.vocabulary import Vocabulary
from relforge.stages.match.words import singular, words

_HEAD = """\
# Synonyms of {count:,} classes, drafted by `relforge synonyms {origin}`: edit it, and name the file in
# stages.match.synonyms. From the tables that come with relforge ({tables}), the source's own
# synonyms and rules of spelling; no dictionary was used. A class's own name is always a synonym, and plurals
# are understood. Comments name the classes that no table knows.
"""

_SPELLINGS = (
    {"gray": "grey", "color": "colour", "tire": "tyre", "airplane": "aeroplane", "donut": "doughnut"}
    | {
        "mustache": "moustache",
        "theater": "theatre",
        "pajamas": "pyjamas",
        "fiber": "fibre",
        "plow": "plough",
    }
    | {"yogurt": "yoghurt", "jewelry": "jewellery", "ax": "axe", "drier": "dryer", "catalog": "catalogue"}
)
_BOTH_WAYS = {**_SPELLINGS, **{other: one for one, other in _SPELLINGS.items()}}


def draft_table(
    classes: Mapping[str, Sequence[str]], vocabulary: Vocabulary, origin: str, tables: Sequence[str]
) -> str:
    """The text of a YAML table that `vocabulary.load` reads.

    Args:
        classes: the data set's -> the synonyms that its source gives.
        vocabulary: the shipped tables.
        origin, tables: what the head of the file names.
    """
    vocabulary = vocabulary.with_own(classes)
    spellings = group_spellings(classes)
    lines = [
        _HEAD.format(count=len(spellings), origin=" ".join(origin.split()), tables=", ".join(tables)),
        "classes:",
    ]
    for names in spellings.values():
        name, own = names[0], {word for one in names for word in own_names(one)}
        known = [word for one in names for word in vocabulary.synonyms(one)]
        variants = [other for word in sorted(own) for other in _respell(word)]
        given = dict.fromkeys(class_words(word) for word in [*known, *variants])
        lines += _entry(name, [word for word in given if word not in own], _remarks(names, vocabulary))
    hypernyms = _draft_hypernyms([names[0] for names in spellings.values()], vocabulary)
    if hypernyms:
        lines.append("# Words for several classes: they count where exactly one of these classes has boxes.")
        lines.append("hypernyms:")
        for word, members in hypernyms.items():
            lines += _entry(word, members, [])
    ends = {
        found[-1]
        for one in spellings.values()
        for word in vocabulary.synonyms(one[0])
        if (found := words(word))
    }
    exceptions = sorted(
        p for p in vocabulary.exceptions if (found := words(p)) and singular(found[-1]) in ends
    )
    if exceptions:
        lines.append("# Phrases that end in a synonym and mean something else.")
        lines += _dump({"exceptions": exceptions})
    return "\n".join([*lines, ""]) if spellings else lines[0] + "classes: {}\n"


def _respell(word: str) -> list[str]:
    """Other spellings of a name: British or American, with and without a hyphen."""
    parts = word.split()
    found = [
        " ".join([*parts[:at], _BOTH_WAYS[part], *parts[at + 1 :]])
        for at, part in enumerate(parts)
        if part in _BOTH_WAYS
    ]
    if "-" in word:
        found.append(word.replace("-", ""))
    return found


def _remarks(names: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    remarks = []
    if len(names) > 1:
        remarks.append(f"also as {', '.join(map(repr, names[1:]))}")
    if not vocabulary.knows(names[0]):
        own = {class_key(word) for word in own_names(names[0])}
        wider = [c for c, listed in vocabulary.classes.items() if own & {class_key(word) for word in listed}]
        remarks.append(f"in no table{'; a word for ' + ', '.join(wider) if wider else ''}")
    return remarks


def _draft_hypernyms(names: Sequence[str], vocabulary: Vocabulary) -> dict[str, list[str]]:
    """Those of the tables, of the classes that are here; and last words that several classes share."""
    found: dict[str, list[str]] = {}
    meant = {name: set(vocabulary.find(name)) for name in names}
    for word, members in vocabulary.hypernyms.items():
        here = [name for name in names if meant[name] & set(members)]
        if here:
            found[word] = here
    taken = {class_key(word) for name in names for word in vocabulary.synonyms(name)}
    by_head: dict[str, list[str]] = {}
    for name in names:
        parts = words(own_names(name)[-1])
        if len(parts) > 1:
            by_head.setdefault(singular(parts[-1]), []).append(name)
    for head, members in sorted(by_head.items()):
        if len(members) > 1 and class_key(head) not in taken and head not in found and len(head) > 1:
            found[head] = members
    return found


def _entry(key: str, values: Iterable[str], remarks: Sequence[str]) -> list[str]:
    above = [f"  # {_printable(' '.join(remark.split()))}" for remark in remarks]
    return above + [f"  {line}" for line in _dump({key: list(values)})]


def _printable(text: str) -> str:
    """Control characters as escapes: a comment of YAML has no way to hold them."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _dump(value: dict[str, Any]) -> list[str]:
    """YAML lines, lists within a line; texts in quotes where YAML would read another thing."""
    form: dict[str, Any] = {"default_flow_style": None, "width": 10**9, "sort_keys": False}
    text: str = yaml.safe_dump(value, allow_unicode=True, **form)
    if not all(
        line.isprintable() for line in text.split("\n")
    ):  # marks of direction, which hide what is written
        text = yaml.safe_dump(value, **form)
    return text.splitlines()
