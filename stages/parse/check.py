"""What a caption does not state leaves its scene graph, whichever parser made it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from relforge.stages.parse.caption_text import CaptionText
from relforge.stages.parse.denial import ANY_CUE, Denial, find_denial
from relforge.stages.parse.graph import Relation, SceneGraph
from relforge.stages.parse.learned.lemmas import verb_lemmas
from relforge.stages.parse.mentions import are_one, find_counted, find_depicted
from relforge.stages.parse.phrasing import phrase
from relforge.stages.parse.possession import UNSTATED_SHARE, is_stated
from relforge.stages.parse.wording import reword


def check_graph(caption: str, graph: SceneGraph) -> tuple[SceneGraph, Counter[str]]:
    """The graph with the relations that the caption states, in its words, and how many were dropped:

    * `denied`: the caption denies it, or states that it is not yet so (`denial`).
    * `depicted`: an end is on a picture or is a statue (`mentions`).
    * `quantity`: between a quantity and what it counts; other relations of the quantity become those of
      what it counts.
    * `same_mention`: between two mentions of one thing.
    * `unstated_predicate`: the caption has no words for it (`wording`).
    * `repeated`: stated twice in one way.

    A passive and the object of a light verb are worded as they read (`phrasing`); a `have` that no word
    states keeps a part of its confidence (`possession`).
    """
    dropped: Counter[str] = Counter()
    if not graph.relations:
        return graph, dropped
    text = CaptionText.of(caption)
    spans = [text.place(entity.start, entity.end) for entity in graph.entities]
    counted, depicted = find_counted(text, spans), find_depicted(text, spans)
    denial = find_denial(text, spans) if ANY_CUE.search(caption) else Denial(text, spans)
    denied = _find_denied(text, graph, denial)
    kept: dict[tuple[int, str, int], Relation] = {}
    for number, relation in enumerate(graph.relations):
        ends = relation.subject, relation.object
        subject, obj = (counted.get(end, end) for end in ends)
        if number in denied:
            dropped["denied"] += 1
        elif depicted & {*ends, subject, obj}:
            dropped["depicted"] += 1
        elif subject == obj:
            dropped["quantity" if ends[0] != ends[1] else "same_mention"] += 1
        elif are_one(text, spans[subject], spans[obj]):
            dropped["same_mention"] += 1
        elif (said := reword(text, relation, spans[ends[0]], spans[ends[1]])) is None:
            dropped["unstated_predicate"] += 1
        else:
            said = phrase(text, said, spans[ends[0]], spans[ends[1]])
            said = _add_intention(text, said, relation, denial)
            if said.predicate.lower() == "have" and not is_stated(text, spans[ends[0]], spans[ends[1]]):
                said = replace(said, confidence=said.confidence and UNSTATED_SHARE * said.confidence)
            key = (subject, said.predicate.lower(), obj)
            dropped["repeated"] += key in kept
            kept.setdefault(key, replace(said, subject=subject, object=obj))
    return SceneGraph(graph.entities, tuple(kept.values())), +dropped


def _find_denied(text: CaptionText, graph: SceneGraph, denial: Denial) -> set[int]:
    """Numbers of the denied relations; those of a thing that is denied with them as well."""
    denied: set[int] = set()
    for _ in range(2):  # a second time for relations of "a hat" in "not wearing a hat"
        for number, relation in enumerate(graph.relations):
            place = text.place(relation.start, relation.end)
            if number not in denied and denial.denies(
                relation.subject, relation.object, place, relation.predicate
            ):
                denied.add(number)
                absent = denial.absent_object(relation.subject, relation.object)
                denial.things |= {absent} if absent is not None else set()
    return denied


def _add_intention(text: CaptionText, said: Relation, relation: Relation, denial: Denial) -> Relation:
    """`hit` as `ready to hit` where the caption words it so."""
    span = denial.intention(relation.subject, relation.object, text.place(relation.start, relation.end))
    if span is None:
        return said
    words = list(text.words[span[0] : span[1] + 1])
    first = "prepare" if words[0].startswith("prepar") else verb_lemmas(words[0])[0]
    lemma = " ".join([first, *words[1:], said.lemma])
    return replace(said, predicate=" ".join([*words, said.predicate]), lemma=lemma, start=text.start[span[0]])
