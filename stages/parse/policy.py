"""What becomes of a predicate between parser and triplet: the one place that decides its wording.

Attributes ("the ball is red") are no predicates here: every parser keeps them on the entity
(`Entity.attributes`), so no policy can turn them into relations between boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from relforge.stages.parse.graph import Relation, SceneGraph
from relforge.stages.parse.inflection import VERBS, gerund, sections, third_person
from relforge.stages.parse.learned.lemmas import verb_lemmas

FORMS = ("surface", "progressive", "lemma")
PREPOSITION_RULES = ("kept", "collapsed")

_PREPOSITIONS = """
about above across against along alongside amid among around as at atop before behind below beneath beside
besides between beyond by down for from in inside into near next of off on onto opposite out outside over
past through throughout to toward towards under underneath up upon via with within without
"""
PREPOSITIONS = frozenset(_PREPOSITIONS.split())
"""First words of the part of a predicate that follows its verb."""


class PredicatePolicy:
    """Rewrites or drops the relations of a scene graph.

    Args:
        form: `surface` keeps the caption's wording ("sits on"); `progressive` writes the present tense as
            Visual Genome mostly does ("sitting on"), likewise a passive that the parser turned round ("a
            horse ridden by a man": man, riding, horse), and leaves the rest; `lemma` writes "sit on", so
            that "holds", "holding" and "held" are one label.
        prepositions: `kept` leaves a verb with its preposition; `collapsed` does as the published
            parser: the verb is removed and the preposition stays, except in the two-word phrasal verbs on
            SceneGraphParser's list ("sit on").
        min_confidence: relations the parser is less sure of are dropped; those without a confidence stay.
        stop: predicates (lemma or surface, as the parser gives them) whose relations are dropped.

    Raises:
        ValueError: an unknown form or rule, a confidence outside [0, 1], or `stop` given as one string.
    """

    def __init__(
        self,
        form: str = "surface",
        prepositions: str = "kept",
        stop: Sequence[str] = (),
        min_confidence: float = 0.0,
    ) -> None:
        for name, value, choices in (
            ("predicate_form", form, FORMS),
            ("prepositions", prepositions, PREPOSITION_RULES),
        ):
            if value not in choices:
                raise ValueError(f"parse.{name}: {value!r} is not one of {', '.join(choices)}")
        if isinstance(stop, str):
            raise ValueError(f"parse.stop_predicates: give a list of predicates, e.g. [{stop}]")
        if not 0 <= min_confidence <= 1:
            raise ValueError(f"parse.min_confidence: {min_confidence!r} is not between 0 and 1")
        self.min_confidence = min_confidence
        self.form, self.prepositions = form, prepositions
        self.stop = frozenset(" ".join(predicate.lower().split()) for predicate in stop)

    def apply(self, graph: SceneGraph) -> tuple[SceneGraph, Counter[str]]:
        """The graph with its predicates reworded, and how many relations were dropped, by reason."""
        kept: list[Relation] = []
        dropped: Counter[str] = Counter()
        for relation in graph.relations:
            reworded = self._reword(relation, graph)
            if not reworded.predicate:
                dropped["empty_predicate"] += 1
            elif relation.confidence is not None and relation.confidence < self.min_confidence:
                dropped["low_confidence"] += 1
            elif self.stop & {reworded.lemma.lower(), reworded.predicate.lower()}:
                dropped["stop_predicate"] += 1
            else:
                kept.append(reworded)
        if not dropped and all(new is old for new, old in zip(kept, graph.relations, strict=True)):
            return graph, dropped
        return SceneGraph(graph.entities, tuple(kept)), dropped

    def _reword(self, relation: Relation, graph: SceneGraph) -> Relation:
        predicate, lemma = relation.predicate, relation.lemma
        if self.prepositions == "collapsed":
            predicate, lemma = collapse(predicate, lemma)
        if self.form == "lemma":
            predicate = lemma
        elif self.form == "progressive":
            predicate = to_progressive(predicate, lemma, is_turned(relation, graph))
        if (predicate, lemma) == (relation.predicate, relation.lemma):
            return relation
        return replace(relation, predicate=predicate, lemma=lemma)


def collapse(predicate: str, lemma: str, phrasal: Callable[[str], bool] | None = None) -> tuple[str, str]:
    """A verb with a preposition, down to the preposition, unless the two are a phrasal verb.

    Args:
        phrasal: recognises phrasal verbs ("sit on") by their lemma; None: the published list.
    """
    words = lemma.split()
    at = next((i for i, word in enumerate(words) if word.lower() in PREPOSITIONS), 0)
    if at == 0 or (len(words) == 2 and (phrasal or is_published_phrasal)(lemma)):
        return predicate, lemma
    surface = predicate.split()
    first = next((i for i, word in enumerate(surface) if word.lower() in PREPOSITIONS), 0)
    return " ".join(surface[first:]), " ".join(words[at:])


def is_turned(relation: Relation, graph: SceneGraph) -> bool:
    """Whether the caption speaks of the object first, then of what is done to it, and then of the subject."""
    subject, object_ = graph.entities[relation.subject], graph.entities[relation.object]
    return 0 <= object_.end <= relation.start < relation.end <= subject.start


def to_progressive(predicate: str, lemma: str, turned: bool = False) -> str:
    """The present tense as -ing form: "sits on" and "sit on" -> "sitting on"; "has", "held by", "on" stay.

    Args:
        turned: see `is_turned`; then "held" is what the subject does: "holding".
    """
    first, _, rest = predicate.partition(" ")
    verb = lemma.partition(" ")[0]
    present = first == verb and verb in _verbs()
    passive = turned and verb != first != gerund(verb) and verb in verb_lemmas(first)
    # a parser may take one verb for another ("lies" for a form of "lay")
    named = (one for one in (verb, *verb_lemmas(first)[:-1]) if first == third_person(one))
    acting = verb if present or passive else next(named, "")
    if acting in ("", "be", "have"):
        return predicate
    return f"{gerund(acting)} {rest}".rstrip()


@cache
def _verbs() -> frozenset[str]:
    return frozenset(entry.split()[0] for entries in sections(VERBS).values() for entry in entries)


def is_published_phrasal(lemma: str) -> bool:
    """Whether SceneGraphParser lists a phrasal verb."""
    return bool(_published_test()(lemma))


@cache
def _published_test() -> Callable[[str], bool]:
    from relforge.stages.parse.sng_package import check_distribution

    check_distribution()
    from sng_parser.database import is_phrasal_verb

    known: Callable[[str], bool] = is_phrasal_verb
    return known
