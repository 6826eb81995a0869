"""Random noun phrases with their trees."""

from __future__ import annotations

import random

from relforge.trainer.spacy_pipeline.tree import Tree
from relforge.trainer.spacy_pipeline.words import plural, sections

NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "2", "3", "4", "5"]
CLASSES = (
    "person",
    "animal",
    "vehicle",
    "food",
    "clothing",
    "furniture",
    "place",
    "surface",
    "part",
    "thing",
)


class NounPhrases:
    """Adds noun phrases to a tree and returns their head tokens.

    Args:
        rng: source of every choice.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.nouns = sections("nouns")
        adjectives = sections("adjectives")
        self.adjectives = adjectives["size"] + adjectives["colour"] * 2 + adjectives["state"]

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, items: list[str]) -> str:
        return self.rng.choice(items)

    def noun_class(self, *classes: str) -> str:
        return self.rng.choice(classes or CLASSES)

    def phrase(self, tree: Tree, *classes: str, many: bool | None = None, bare: float = 0.08) -> int:
        """Determiner, modifiers, noun; coordinated adjectives now and then.

        Args:
            tree: receives the tokens.
            classes: noun classes to draw from; any if none is given.
            many: plural or not; by chance if None.
            bare: probability of leaving the determiner out (always, half of the time, of plurals).
        """
        if self.chance(0.02):
            return self._pronoun(tree)
        name = self.noun_class(*classes)
        compound = name in ("thing", "vehicle", "food", "place", "furniture") and self.chance(0.2)
        noun = self.pick(self.nouns["compound" if compound else name])
        many = self.chance(0.28) if many is None else many
        left = self._determiner(tree, many, bare)
        left += self._adjectives(tree)
        if not compound and self.chance(0.07):
            left.append((self._modifier_noun(tree), "compound"))
        *front, last = noun.split()
        left += [(tree.add(word, "NN", "NOUN"), "compound") for word in front]
        form = plural(last) if many else last
        head = tree.add(form, "NNS" if many else "NN", "NOUN", last)
        for token, dep in left:
            tree.attach(token, head, dep)
        return head

    def measure(self, tree: Tree, *classes: str) -> int:
        """`a group of people`, `two slices of pizza`; the head is the counted noun's container."""
        group = self.chance(0.5)
        many = not group and self.chance(0.3)
        left = self._determiner(tree, many, 0.05)
        if self.chance(0.2):
            left += self._adjectives(tree)
        noun = self.pick(self.nouns["group" if group else "container"])
        head = tree.add(plural(noun) if many else noun, "NNS" if many else "NN", "NOUN", noun)
        for token, dep in left:
            tree.attach(token, head, dep)
        of = tree.add("of", "IN", "ADP")
        tree.attach(of, head, "prep")
        content = classes if group else (*classes, "food")
        tree.attach(self.phrase(tree, *content, many=group or None, bare=0.9), of, "pobj")
        return head

    def _pronoun(self, tree: Tree) -> int:
        word = self.pick(["it", "them", "each", "someone", "something", "others", "another", "one"])
        if word in ("it", "them"):
            return tree.add(word, "PRP", "PRON")
        return tree.add(word, "NN", "PRON" if word in ("someone", "something") else "NOUN")

    def _determiner(self, tree: Tree, many: bool, bare: float) -> list[tuple[int, str]]:
        draw = self.rng.random()
        if draw < (0.5 if many else 0.0) + bare:
            return []
        if draw > 0.93:
            return self._possessor(tree)
        if many:
            if self.chance(0.35):
                return [(tree.add(self.pick(NUMBERS), "CD", "NUM"), "nummod")]
            if self.chance(0.3):
                word = self.pick(["several", "many", "multiple", "various", "few", "other"])
                return [(tree.add(word, "JJ", "ADJ"), "amod")]
            word = self.pick(["the", "some", "the", "these", "all", "both", "his", "her", "their", "its"])
        else:
            word = self.pick(
                ["a"] * 12 + ["the"] * 6 + ["his", "her", "its", "their", "another", "one", "this"]
            )
        if word in ("his", "her", "its", "their"):
            return [(tree.add(word, "PRP$", "PRON"), "poss")]
        if word == "one":
            return [(tree.add(word, "CD", "NUM"), "nummod")]
        return [(tree.add(word, "DT", "DET"), "det")]

    def _possessor(self, tree: Tree) -> list[tuple[int, str]]:
        det = tree.add(self.pick(["a", "the"]), "DT", "DET")
        noun = self.pick(self.nouns[self.noun_class("person", "animal")])
        owner = tree.add(noun, "NN", "NOUN", space=False)
        tree.attach(det, owner, "det")
        tree.attach(tree.add("'s", "POS", "PART"), owner, "case")
        return [(owner, "poss")]

    def _adjectives(self, tree: Tree) -> list[tuple[int, str]]:
        count = self.rng.choices([0, 1, 2, 3], [0.55, 0.33, 0.1, 0.02])[0]
        words = [self.pick(self.adjectives) for _ in range(count)]
        if count == 2 and self.chance(0.4):
            first = self._adjective(tree, words[0])
            tree.attach(tree.add("and", "CC", "CCONJ"), first, "cc")
            tree.attach(self._adjective(tree, words[1]), first, "conj")
            return [(first, "amod")]
        if count and self.chance(0.06):
            adverb = tree.add(self.pick(["very", "brightly", "partially", "half", "newly"]), "RB", "ADV")
            adjective = self._adjective(tree, words[0])
            tree.attach(adverb, adjective, "advmod")
            return [(adjective, "amod")]
        if count and self.chance(0.06):
            return [
                (tree.add(self.pick(["smiling", "running", "flying", "sleeping"]), "VBG", "VERB"), "amod")
            ]
        return [(self._adjective(tree, word), "amod") for word in words]

    def _adjective(self, tree: Tree, word: str) -> int:
        """One adjective; `old-fashioned` in three tokens, as spaCy's tokeniser splits it."""
        *front, last = word.split("-")
        parts = []
        for part in front:
            parts.append((tree.add(part, "JJ", "ADJ", space=False), "amod"))
            parts.append((tree.add("-", "HYPH", "PUNCT", space=False), "punct"))
        head = tree.add(last, "JJ", "ADJ")
        for token, dep in parts:
            tree.attach(token, head, dep)
        return head

    def _modifier_noun(self, tree: Tree) -> int:
        return tree.add(self.pick(self.nouns[self.noun_class()]), "NN", "NOUN")
