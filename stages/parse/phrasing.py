"""A stated relation in words that read rightly from subject to object.

Normal forms turn phrases around: "a bear surrounded by birds" is `birds surround bear`, and the verb of
"doing a trick with a skateboard" is the trick. The caption's own words for them, "surrounded" and "trick
with", state another relation or none.
"""

from __future__ import annotations

from dataclasses import replace

from relforge.stages.parse.caption_text import DETERMINERS, CaptionText, Span
from relforge.stages.parse.graph import Relation
from relforge.stages.parse.inflection import gerund
from relforge.stages.parse.learned.lemmas import verb_lemmas
from relforge.stages.parse.policy import PREPOSITIONS

_LIGHT = "do perform take make give have execute"
LIGHT_VERBS = frozenset(_LIGHT.split())
"""Verbs whose object says what is done: "taking a bite of", "performing tricks on"."""

_ENDS = frozenset({",", "and", "is", "are", "to", "ready", "while"})
"""Words that no object of a light verb has before its noun."""

MAX_BETWEEN = 4
"""Words between a light verb and what is done ("doing a cool skateboard trick")."""


def phrase(text: CaptionText, relation: Relation, subject: Span | None, obj: Span | None) -> Relation:
    """The relation, its surface turned where the caption has it in the passive or behind a light verb."""
    place = text.place(relation.start, relation.end)
    if place is None or subject is None or obj is None:
        return relation
    words = relation.predicate.split()
    if obj < subject and obj < place < subject and len(words) == 1:
        verb = relation.lemma.split()[0]
        form = words[0].lower()
        participle = form != verb and verb in verb_lemmas(form) and not form.endswith(("ing", "s"))
        if participle and {"by", "with"} & set(text.words[place[1] + 1 : subject[0]]):
            return replace(relation, predicate=gerund(verb))
    at = _light_verb(text, place[0])
    if at is None or not subject < (at, at) or words[0].lower() != text.words[place[0]]:
        return relation
    before = [word for word in text.words[at : place[0]] if word not in DETERMINERS]
    lemma = " ".join([verb_lemmas(before[0])[0], *before[1:], relation.lemma])
    predicate = " ".join([*text.words[at : place[0]], relation.predicate])
    return replace(relation, predicate=predicate, lemma=lemma, start=text.start[at])


def _light_verb(text: CaptionText, noun: int) -> int | None:
    """Where the light verb is whose object begins before the word `noun`; None where that word is no noun."""
    word = text.words[noun]
    if word in PREPOSITIONS or word.endswith(("ing", "ed")) or LIGHT_VERBS & set(verb_lemmas(word)):
        return None
    for at in range(noun - 1, max(-1, noun - 1 - MAX_BETWEEN), -1):
        if text.words[at] in _ENDS:
            return None
        if LIGHT_VERBS & set(verb_lemmas(text.words[at])) and text.words[at] not in {"has", "have", "had"}:
            return at
    return None
