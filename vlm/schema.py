"""What an answer has to look like, and what of it is used: a model's text is data, most of it well formed.

Nothing is repaired by guess: an answer that cannot be read is asked for once more (by the stage), then the
image is set aside; a relation that makes no sense is left out under a reason, and the rest is used.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from relforge.vlm.client import Answer

MAX_WORDS = 6
MAX_RELATIONS = 64
"""Of one answer; more are a loop."""
OK, OFF_TOPIC, INVALID_JSON = "ok", "off_topic", "invalid_json"
MIN_MASS = 0.5
"""Of a judge: less probability on its words, and the model talks of something else."""

_FENCE = re.compile(r"\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


class Relation(NamedTuple):
    """A relation of an answer: numbers of the boxes as they were shown."""

    subject: int
    predicate: str
    object: int


@dataclass(frozen=True)
class Reading:
    """What an answer came to.

    Args:
        verdict: `ok` or `invalid_json`.
        relations: used, in the order of the answer.
        dropped: reason -> relations of the answer that were left out.
    """

    verdict: str
    relations: tuple[Relation, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)


class Judgement(NamedTuple):
    """Args:
    p: probability of yes among the words of yes and no; None where the verdict is not `ok`.
    mass: probability of all these words.
    verdict: `ok` or `off_topic`.
    """

    p: float | None
    mass: float
    verdict: str


def relations_schema(subjects: Collection[int], objects: Collection[int]) -> dict[str, Any]:
    """JSON schema of proposals: the numbers are a closed list, predicates short texts of letters.

    Args:
        subjects, objects: numbers that either end may be.
    """
    ends = {"subject": subjects, "object": objects}
    properties: dict[str, Any] = {name: {"enum": sorted(numbers)} for name, numbers in ends.items()}
    properties["predicate"] = {"type": "string", "pattern": "^[a-z]+( [a-z]+){0,5}$", "maxLength": 60}
    item = {
        "type": "object",
        "properties": {name: properties[name] for name in ("subject", "predicate", "object")},
        "required": ["subject", "predicate", "object"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"relations": {"type": "array", "items": item, "maxItems": MAX_RELATIONS}},
        "required": ["relations"],
        "additionalProperties": False,
    }


def read_relations(text: str, subjects: Collection[int], objects: Collection[int]) -> Reading:
    """The relations of an answer to a proposal, raw as it came.

    Of every entry of its list, one thing happens: it is used, or counted in `dropped` as `malformed`,
    `unknown_box`, `same_box`, `bad_predicate` (empty, longer than six words, or no words of letters),
    `duplicate` or `beyond_limit`.
    """
    entries = _parse(text)
    if entries is None:
        return Reading(INVALID_JSON)
    kept: dict[Relation, None] = {}
    dropped: Counter[str] = Counter()
    for entry in entries:
        relation, reason = _read_entry(entry, subjects, objects)
        if relation is None:
            dropped[reason] += 1
        elif relation in kept:
            dropped["duplicate"] += 1
        elif len(kept) == MAX_RELATIONS:
            dropped["beyond_limit"] += 1
        else:
            kept[relation] = None
    return Reading(OK, tuple(kept), dict(dropped))


def read_sentence(text: str) -> str:
    """A caption: the first line that says something, without quotes around it and control characters.

    What follows that line explains. Whether it is a sound caption is for the caption stage to say.
    """
    for line in text.splitlines():
        kept = "".join(letter for letter in line if letter.isprintable()).strip().strip('"').strip()
        if kept:
            return kept
    return ""


def read_judgement(
    answer: Answer, yes: Sequence[str], no: Sequence[str], min_mass: float = MIN_MASS
) -> Judgement:
    """P(yes) of the first token's probabilities, among the words of yes and no.

    An answer without probabilities is read by its first word, and its mass is 1 or 0.
    """
    if answer.words:
        of_yes, of_no = (sum(answer.words.get(word, 0.0) for word in words) for words in (yes, no))
    else:
        first = (_WORD.findall(answer.text) or [""])[0].lower()
        of_yes = float(first in {word.lower() for word in yes})
        of_no = float(first in {word.lower() for word in no})
    mass = of_yes + of_no
    if not mass >= min_mass or not mass:
        return Judgement(None, mass, OFF_TOPIC)
    return Judgement(of_yes / mass, mass, OK)


def _parse(text: str) -> list[Any] | None:
    """The entries of `relations`, or None for what is no JSON of that form."""
    if fenced := _FENCE.fullmatch(text):
        text = fenced[1]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        found = found.get("relations")
    return found if isinstance(found, list) else None


def _read_entry(
    entry: Any, subjects: Collection[int], objects: Collection[int]
) -> tuple[Relation | None, str]:
    if not isinstance(entry, dict):
        return None, "malformed"
    subject, predicate, object_ = (entry.get(name) for name in ("subject", "predicate", "object"))
    # bool is an int of Python's, and 1.0 equals 1
    if type(subject) is not int or type(object_) is not int or not isinstance(predicate, str):
        return None, "malformed"
    if subject not in subjects or object_ not in objects:
        return None, "unknown_box"
    if subject == object_:
        return None, "same_box"
    words = predicate.lower().split()
    if not 1 <= len(words) <= MAX_WORDS or not all(_WORD.fullmatch(word) for word in words):
        return None, "bad_predicate"
    return Relation(subject, " ".join(words), object_), ""
