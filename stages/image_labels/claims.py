"""Triplets of captions as claims about the whole image: (caption, verb, object), or why one is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relforge.stages.class_names import class_key
from relforge.stages.image_labels.verbs import VerbForms
from relforge.stages.interactions import Interactions
from relforge.stages.match.phrases import PhraseMatcher
from relforge.stages.match.vocabulary import Vocabulary

PERSON = "person"
PEOPLE = ("people",)
"""Words for persons that no synonym table need list."""
NOT_A_PERSON, UNKNOWN_OBJECT = "not_a_person", "unknown_object"
UNKNOWN_VERB, NOT_IN_VOCABULARY = "unknown_verb", "not_in_vocabulary"


class ClaimReader:
    """Reads triplets.

    Args:
        table: interactions that there are.
        vocabulary: words for the classes.
        verbs: wordings of the table's verbs.
    """

    def __init__(self, table: Interactions, vocabulary: Vocabulary, verbs: VerbForms) -> None:
        self._table = frozenset(table)
        self._verbs = verbs
        self._objects = {object_ for _, object_ in table}
        # every class of the tables takes part: "hot dog" must not fall back to "dog"
        first = sorted({*self._objects, PERSON})
        keys = {class_key(name) for name in first}
        others = sorted(name for name in vocabulary.classes if class_key(name) not in keys)
        vocabulary = vocabulary.with_own({PERSON: PEOPLE})
        self._matcher = PhraseMatcher(vocabulary, [*first, *others])

    def classes(self, triplet: Mapping[str, Any], end: str) -> list[str]:
        """Classes that `subject` or `object` of a triplet names."""
        hits = self._matcher.match(triplet[end], triplet[f"{end}_head"], triplet[f"{end}_lemma"])
        return list(dict.fromkeys(hit.category for hit in hits))

    def read(self, triplet: Mapping[str, Any]) -> tuple[list[tuple[str, str]], str]:
        """The interactions that a triplet says, or none and the reason.

        A passive is turned round: "a bike is ridden by a man" says what "a man rides a bike" does.
        """
        lemma = " ".join(triplet["predicate_lemma"].casefold().split())
        subject, object_ = "subject", "object"
        active, passive, _ = lemma.rpartition(" by")
        if passive and lemma == f"{active} by" and active:
            first = active.removeprefix("be ")
            if any(self._verbs.find(first)):
                lemma, subject, object_ = first, "object", "subject"
        lemma = lemma.removeprefix("be ")
        if not any(class_key(name) == PERSON for name in self.classes(triplet, subject)):
            return [], NOT_A_PERSON
        objects = [name for name in self.classes(triplet, object_) if name in self._objects]
        if not objects:
            return [], UNKNOWN_OBJECT
        tiers = self._verbs.find(lemma)
        if not any(tiers):
            return [], UNKNOWN_VERB
        for verbs in tiers:  # "wash" is wash where the table has it of the object, else clean
            if found := [(verb, name) for name in objects for verb in verbs if (verb, name) in self._table]:
                return found, ""
        return [], NOT_IN_VOCABULARY
