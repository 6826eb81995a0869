"""Predicates in the caption's own words.

A parser that was trained on normal forms writes predicates no caption has: "in" for "a cup of coffee",
"sitting into" for "sitting in the middle of". Such a predicate gets the words of the caption, or is dropped.
`have` and `wear` are conventions ("the dog's collar", "a man in a suit") and stay.
"""

from __future__ import annotations

from dataclasses import replace

from relforge.stages.parse.caption_text import ARTICLES, CaptionText, Span, says
from relforge.stages.parse.graph import Relation
from relforge.stages.parse.learned.lemmas import verb_lemmas
from relforge.stages.parse.policy import PREPOSITIONS

CONVENTIONS = frozenset({"have", "wear"})
_CONJUNCTIONS = frozenset({"and", "or", "but", "nor", "than", "while", ","})
_CLAUSE_WORDS = "until while when whenever because although where as if"
_CLAUSES = frozenset(_CLAUSE_WORDS.split())
"""Words that begin another statement: "waiting in the road until two horses pass" is not in the horses."""
_PLACE_WORDS = """
front top side sides middle back backs center centre edge edges bottom corner end ends rear left right tops
fronts bottoms underside
"""
_PLACES = frozenset(_PLACE_WORDS.split())
_WAITING_WORDS = "wait prepare try want hope plan attempt ready use stop start get about"
_WAITING = frozenset(_WAITING_WORDS.split())
_MORE_LINKS = "beneath onto towards amongst underneath away together after"
_LINKS = PREPOSITIONS | _PLACES | frozenset(_MORE_LINKS.split())


def reword(text: CaptionText, relation: Relation, subject: Span | None, obj: Span | None) -> Relation | None:
    """The relation as the caption words it; None where the caption does not state it.

    Args:
        subject, obj: words of the two ends; None where unknown.
    """
    wanted = relation.predicate.lower().split()
    if not wanted or wanted[0] in CONVENTIONS:
        return relation
    if set(wanted) <= _CONJUNCTIONS:
        return None
    if subject is None or obj is None:
        return relation if says(text.words, wanted) else None
    place = text.place(relation.start, relation.end)
    left, right = sorted((subject, obj))
    forward = subject == left
    if place is not None and forward and _begins_clause(text, place[1] + 2, right[1]):
        return None
    if place is not None:
        inside = _content(text, place[0], place[1] + 1)
        if inside == wanted:
            # "waiting to board a train" is not "waiting to" a train
            waits = wanted[-1] == "to" and relation.lemma.split()[0] in _WAITING
            if waits and forward and place[1] + 1 < right[0]:
                return _with(relation, _content(text, place[0], right[0]))
            # "waiting for the bus" is not "waiting" the bus
            after = _content(text, place[1] + 1, right[0]) if forward else []
            if after and len(wanted) == 1 and set(after) <= PREPOSITIONS and wanted[0] not in PREPOSITIONS:
                return _with(relation, [*wanted, *after])
            return relation
        if inside and inside[0] == wanted[0]:
            return _complete(text, relation, wanted, place, right, forward)
    between = _content(text, left[1] + 1, right[0])
    if says(between, wanted):
        # the words are there, in other forms ("topped with" for `top with`): the surface is the caption's
        said = _matching(between, wanted)
        return relation if said == wanted else replace(relation, predicate=" ".join(said))
    if not forward:
        return relation if len(wanted) > 1 and says(text.words[left[0] :], wanted) else None
    links = _links(between)
    if not links or (links == ["of"] and wanted != ["of"]):
        return None
    verb = between[: len(between) - len(links)]
    if verb and verb_lemmas(verb[-1])[0] != verb[-1] and verb[-1] not in ("is", "are", "was", "were"):
        links = [verb[-1], *links]
    elif verb and not set(verb) <= {"is", "are", "was", "were", "that", "which", "who", "it", ","}:
        return None
    return _with(relation, links)


def _begins_clause(text: CaptionText, first: int, stop: int) -> bool:
    return any(word in _CLAUSES for word in text.words[first:stop])


def _complete(
    text: CaptionText, relation: Relation, wanted: list[str], place: Span, right: Span, forward: bool
) -> Relation | None:
    """A relation whose verb is there: its preposition has to follow, up to the thing it leads to."""
    tail = _content(text, place[0] + 1, right[0]) if place[0] < right[0] else list(text.words[place[0] + 1 :])
    own = _links(tail)
    if forward and own and len(tail) - len(own) > 1 and tail[-len(own) - 1] in _CONJUNCTIONS:
        return _with(relation, own)  # "wearing a hat and behind a bench" is behind it, not "wearing behind"
    if says(tail, wanted[1:]) and (not forward or len(wanted) == 1 or not tail or tail[-1] == wanted[-1]):
        return relation
    if not forward or place[0] > right[0]:
        return relation if says(text.words, wanted) else _with(relation, wanted[:1])
    links = _links(tail)
    if links or not tail:
        return _with(relation, [wanted[0], *links])
    return relation if says(tail, wanted[1:]) else None


def _content(text: CaptionText, first: int, stop: int) -> list[str]:
    return [word for word in text.words[first:stop] if word not in ARTICLES]


def _links(words: list[str]) -> list[str]:
    """The prepositions and places that end the words: in middle of, next to."""
    at = len(words)
    while at and words[at - 1] in _LINKS:
        at -= 1
    return words[at:]


def _matching(said: list[str], wanted: list[str]) -> list[str]:
    found: list[str] = []
    for word in said:
        if len(found) < len(wanted):
            w = wanted[len(found)]
            if word == w or w in verb_lemmas(word):
                found.append(word)
    return found


def _with(relation: Relation, words: list[str]) -> Relation:
    first = words[0]
    lemma = first if first in _LINKS else verb_lemmas(first)[0]
    known = relation.lemma.split()[0] if relation.predicate.lower().split()[0] == first else lemma
    return replace(relation, predicate=" ".join(words), lemma=" ".join([known, *words[1:]]))
