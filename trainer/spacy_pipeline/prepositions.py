"""Random prepositional phrases with their trees."""

from __future__ import annotations

from relforge.trainer.spacy_pipeline.noun_phrases import NounPhrases
from relforge.trainer.spacy_pipeline.tree import Tree
from relforge.trainer.spacy_pipeline.words import sections

_WORDS = sections("prepositions")
PLACE = ["in"] * 8 + ["on"] * 8 + _WORDS["place"]
ACCOMPANIMENT = ["with"] * 6 + ["without", "for", "like"]
LEANING = ["next to"] * 6 + _WORDS["leaning"]
NOUN_PREPOSITIONS = ["in front of"] * 4 + ["on top of"] * 4
"""Complex prepositions on the published list: the rules read them only below the noun."""


class Prepositions:
    """Adds a prepositional phrase below a given head.

    Args:
        nouns: makes the noun phrases.
    """

    def __init__(self, nouns: NounPhrases) -> None:
        self.nouns = nouns

    def place(self, tree: Tree, head: int, noun: int | None = None) -> None:
        """Where it is: a plain, adverbial (`next to`) or complex preposition.

        Args:
            tree: receives the tokens.
            head: the verb or noun that the phrase belongs to.
            noun: the noun that complex prepositions belong to; defaults to `head`.
        """
        draw = self.nouns.rng.random()
        classes = ("place", "place", "furniture", "surface", "vehicle", "thing", "person", "animal", "food")
        if draw < 0.7:
            self.plain(tree, head, self.nouns.pick(PLACE), *classes)
        elif draw < 0.82:
            self.leaning(tree, head)
        elif draw < 0.92 and (noun is not None or tree.pos[head] == "NOUN"):
            self.complex(tree, head if noun is None else noun)
        else:
            self.side(tree, head)

    def plain(self, tree: Tree, head: int, word: str, *classes: str) -> int:
        """`word` + noun phrase; returns the preposition."""
        first = tree.add(word, "IN", "ADP")
        if self.nouns.chance(0.02):
            tree.attach(first, head, "prep")
            second = tree.add(self.nouns.pick(["of", "behind", "under", "in"]), "IN", "ADP")
            tree.attach(second, first, "prep")
            self.object(tree, second, *classes)
            return first
        tree.attach(first, head, "prep")
        self.object(tree, first, *classes)
        return first

    def object(self, tree: Tree, preposition: int, *classes: str) -> int:
        """Noun phrase below a preposition, sometimes a list, sometimes with `of` or `with`."""
        noun = (
            self.nouns.measure(tree, *classes)
            if self.nouns.chance(0.06)
            else self.nouns.phrase(tree, *classes)
        )
        tree.attach(noun, preposition, "pobj")
        if self.nouns.chance(0.12):
            self.conjuncts(tree, noun, *classes)
        return noun

    def conjuncts(self, tree: Tree, noun: int, *classes: str) -> None:
        """`, a cup and a plate`: every conjunct hangs below the first noun."""
        more = 2 if self.nouns.chance(0.25) else 1
        for i in range(more):
            if i < more - 1 or (more > 1 and self.nouns.chance(0.4)):
                tree.spaces[-1] = False
                tree.attach(tree.add(",", ",", "PUNCT"), noun, "punct")
            if i == more - 1:
                tree.attach(tree.add(self.nouns.pick(["and"] * 9 + ["or"]), "CC", "CCONJ"), noun, "cc")
            tree.attach(self.nouns.phrase(tree, *classes, bare=0.2), noun, "conj")

    def leaning(self, tree: Tree, head: int) -> None:
        """`next to a car`: the adverb hangs below the head, the preposition below the adverb."""
        adverb, preposition = self.nouns.pick(LEANING).split()
        close = adverb in ("close", "adjacent")
        if adverb in ("out", "away", "across"):
            first = tree.add(adverb, "RB" if adverb == "away" else "IN", "ADV" if adverb == "away" else "ADP")
            tree.attach(first, head, "advmod" if adverb == "away" else "prep")
        else:
            first = tree.add(adverb, "JJ" if close else "RB", "ADJ" if close else "ADV")
            nominal = tree.pos[head] == "NOUN"
            tree.attach(first, head, "amod" if close and nominal else "advmod")
        second = tree.add(preposition, "IN", "ADP")
        tree.attach(second, first, "prep")
        self.object(tree, second)

    def complex(self, tree: Tree, noun: int) -> None:
        """`in front of a car`, below the noun."""
        first, middle, of = self.nouns.pick(NOUN_PREPOSITIONS).split()
        self._nested(tree, noun, first, "", middle, of)

    def side(self, tree: Tree, head: int) -> None:
        """`on the side of a building`, `in the middle of the street`."""
        middle = self.nouns.pick(_WORDS["side"])
        of = "of" if self.nouns.chance(0.85) else ""
        self._nested(tree, head, self.nouns.pick(["in", "on", "at", "on"]), "the", middle, of)

    def _nested(self, tree: Tree, head: int, first: str, det: str, middle: str, of: str) -> None:
        preposition = tree.add(first, "IN", "ADP")
        tree.attach(preposition, head, "prep")
        determiner = tree.add(det, "DT", "DET") if det else None
        noun = tree.add(middle, "NN", "NOUN")
        if determiner is not None:
            tree.attach(determiner, noun, "det")
        tree.attach(noun, preposition, "pobj")
        if of:
            second = tree.add(of, "IN", "ADP")
            tree.attach(second, noun, "prep")
            self.object(tree, second)
