"""Generated image captions with ClearNLP dependency trees.

The shapes are those people and captioning models use: a noun phrase with participles and places, a
progressive or simple clause, `there is`, a copula with a place, passives, relative clauses. Words come
from `word_lists/`; captions need not make sense, so that the parser learns the shapes and not the pairs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from relforge.stages.parse.inflection import gerund, third_person
from relforge.trainer.spacy_pipeline.noun_phrases import NounPhrases
from relforge.trainer.spacy_pipeline.prepositions import ACCOMPANIMENT, Prepositions
from relforge.trainer.spacy_pipeline.tree import ROOT, Tree
from relforge.trainer.spacy_pipeline.words import participle, sections

BE = {"is": "VBZ", "are": "VBP"}


class CaptionGrammar:
    """Draws captions. The same seed gives the same captions.

    Args:
        seed: of the random choices.
    """

    def __init__(self, seed: int) -> None:
        self.nouns = NounPhrases(random.Random(seed))
        self.places = Prepositions(self.nouns)
        self.verbs = sections("verbs")
        self.chance, self.pick = self.nouns.chance, self.nouns.pick
        self.shapes = {
            self.fragment: 0.42,
            self.clause: 0.2,
            self.existential: 0.07,
            self.located: 0.1,
            self.passive: 0.07,
            self.relative: 0.05,
            self.having: 0.05,
            self.described: 0.04,
        }

    def captions(self, count: int) -> Iterator[Tree]:
        """`count` trees."""
        for _ in range(count):
            tree = Tree()
            shape = self.nouns.rng.choices(list(self.shapes), list(self.shapes.values()))[0]
            root = shape(tree)
            tree.attach(root, ROOT, "ROOT")
            self._finish(tree, root)
            yield tree

    def fragment(self, tree: Tree) -> int:
        """`a man riding a horse on the beach`, `a kitchen with a sink and a stove`."""
        noun = self.subject(tree)
        draw = self.nouns.rng.random()
        if draw < 0.55:
            self.participle_clause(tree, noun)
            if self.chance(0.12):
                if self.chance(0.6):
                    tree.attach(tree.add("and", "CC", "CCONJ"), noun, "cc")
                self.participle_clause(tree, noun)
        elif draw < 0.72:
            self.places.plain(tree, noun, self.pick(ACCOMPANIMENT))
        else:
            self.places.place(tree, noun)
        if self.chance(0.1):
            self.places.place(tree, noun)
        return noun

    def clause(self, tree: Tree) -> int:
        """`two dogs are playing with a ball`, `a man rides a horse`."""
        subject = self.subject(tree)
        many = tree.tags[subject] == "NNS"
        if self.chance(0.6):
            be = self.copula(tree, many)
            verb = self.verb(tree, "VBG")
            tree.attach(be, verb, "aux")
        else:
            verb = self.verb(tree, "VBP" if many else "VBZ")
        tree.attach(subject, verb, "nsubj")
        if self.chance(0.08):
            self.attempt(tree, verb)
        else:
            self.complements(tree, verb, None)
        if self.chance(0.12):
            self.adverbial(tree, verb)
        return verb

    def existential(self, tree: Tree) -> int:
        """`there is a dog lying on the couch`."""
        many = self.chance(0.35)
        there = tree.add("there", "EX", "PRON")
        be = tree.add("are" if many else "is", "VBP" if many else "VBZ", "VERB", "be")
        tree.attach(there, be, "expl")
        noun = self.nouns.phrase(tree, many=many)
        if self.chance(0.15):
            self.places.conjuncts(tree, noun)
        tree.attach(noun, be, "attr")
        if self.chance(0.4):
            self.participle_clause(tree, noun)
        elif self.chance(0.2):
            self.relative_clause(tree, noun)
        else:
            self.places.place(tree, noun)
        return be

    def located(self, tree: Tree) -> int:
        """`a cat is on the table`; the copula is a full verb."""
        subject = self.subject(tree)
        be = self.copula(tree, tree.tags[subject] == "NNS", "VERB")
        tree.attach(subject, be, "nsubj")
        self.places.place(tree, be, be)
        if self.chance(0.2):
            self.places.place(tree, be, be)
        return be

    def passive(self, tree: Tree) -> int:
        """`a car is parked on the street`, `the ball is hit by a boy`."""
        subject = self.subject(tree)
        be = self.copula(tree, tree.tags[subject] == "NNS")
        being = [tree.add("being", "VBG", "AUX", "be")] if self.chance(0.15) else []
        verb = self.verb(tree, "VBN")
        for auxiliary in [be, *being]:
            tree.attach(auxiliary, verb, "auxpass")
        full = self.chance(0.3)
        tree.attach(subject, verb, "nsubjpass" if full else "nsubj")
        if full:
            by = tree.add("by", "IN", "ADP")
            tree.attach(by, verb, "agent")
            self.places.object(tree, by, "person", "animal", "thing")
        else:
            self.after_participle(tree, verb, None)
        return verb

    def relative(self, tree: Tree) -> int:
        """`a man who is riding a horse`."""
        noun = self.subject(tree)
        self.relative_clause(tree, noun)
        return noun

    def having(self, tree: Tree) -> int:
        """`a man has a hat on his head`."""
        subject = self.subject(tree)
        many = tree.tags[subject] == "NNS"
        verb = tree.add("have" if many else "has", "VBP" if many else "VBZ", "VERB", "have")
        tree.attach(subject, verb, "nsubj")
        noun = self.nouns.phrase(tree)
        tree.attach(noun, verb, "dobj")
        if self.chance(0.4):
            self.places.place(tree, noun)
        return verb

    def described(self, tree: Tree) -> int:
        """`the wall is white`, `the tables are full of food`, `this is a photo of a dog`."""
        subject = self.subject(tree)
        be = self.copula(tree, tree.tags[subject] == "NNS")
        tree.attach(subject, be, "nsubj")
        if self.chance(0.6):
            full = self.chance(0.25)
            word = "full" if full else self.pick(self.nouns.adjectives)
            adjective = tree.add(word, "JJ", "ADJ")
            tree.attach(adjective, be, "acomp")
            if full:
                self.places.plain(tree, adjective, "of")
        else:
            tree.attach(self.subject(tree), be, "attr")
        return be

    def subject(self, tree: Tree) -> int:
        """What a caption is about, with an `of` phrase, a `with` phrase or a coordination."""
        classes = (
            "person",
            "person",
            "person",
            "animal",
            "animal",
            "vehicle",
            "furniture",
            "place",
            "thing",
            "food",
        )
        draw = self.nouns.rng.random()
        if draw < 0.08:
            return self.nouns.measure(tree, "person", "animal", "thing")
        noun = self.nouns.phrase(tree, *classes)
        if draw < 0.16:
            self.places.conjuncts(tree, noun, "person", "animal", "thing")
        elif draw < 0.22:
            self.places.plain(
                tree, noun, self.pick(["in", "with", "on"]), "clothing", "part", "place", "surface"
            )
        return noun

    def participle_clause(self, tree: Tree, noun: int) -> None:
        """`riding a horse` or `parked on the street`, below the noun."""
        active = self.chance(0.75)
        verb = self.verb(tree, "VBG" if active else "VBN")
        tree.attach(verb, noun, "acl")
        if active and self.chance(0.06):
            self.attempt(tree, verb)
        elif active:
            self.complements(tree, verb, noun)
        else:
            self.after_participle(tree, verb, noun)

    def attempt(self, tree: Tree, verb: int) -> None:
        """`trying to catch a ball`, `getting ready to eat`: turns `verb` into the light verb."""
        lemma, ready = self.pick(["try", "get ready", "get ready", "prepare", "attempt", "wait"]).partition(
            " "
        )[::2]
        forms = {"VBG": gerund, "VBZ": third_person}
        tree.words[verb], tree.lemmas[verb] = forms.get(tree.tags[verb], str)(lemma), lemma
        head = verb
        if ready:
            head = tree.add(ready, "JJ", "ADJ")
            tree.attach(head, verb, "acomp")
        to = tree.add("to", "TO", "PART")
        second = self.verb(tree, "VB")
        tree.attach(to, second, "aux")
        tree.attach(second, head, "xcomp")
        self.complements(tree, second, None)

    def relative_clause(self, tree: Tree, noun: int) -> None:
        """`who is riding a horse`, `that has a red roof`."""
        who = tree.add(self.pick(["who", "that", "that", "which"]), "WDT", "PRON")
        many = tree.tags[noun] == "NNS"
        draw = self.nouns.rng.random()
        if draw < 0.5:
            be = self.copula(tree, many)
            verb = self.verb(tree, "VBG")
            tree.attach(be, verb, "aux")
            self.complements(tree, verb, noun)
        elif draw < 0.7:
            be = self.copula(tree, many)
            verb = self.verb(tree, "VBN")
            tree.attach(be, verb, "auxpass")
            self.after_participle(tree, verb, None)
        elif draw < 0.85:
            verb = self.copula(tree, many, "VERB")
            self.places.place(tree, verb, verb)
        else:
            verb = tree.add("have" if many else "has", "VBP" if many else "VBZ", "VERB", "have")
            tree.attach(self.nouns.phrase(tree), verb, "dobj")
        tree.attach(who, verb, "nsubj")
        tree.attach(verb, noun, "relcl")

    def complements(self, tree: Tree, verb: int, noun: int | None) -> None:
        """What follows an active verb.

        Args:
            tree: receives the tokens.
            verb: the verb.
            noun: the noun it modifies as a participle, which then takes complex prepositions.
        """
        if self.chance(0.08):
            tree.attach(tree.add(self.pick(["down", "up", "off", "out"]), "RP", "ADP"), verb, "prt")
        if tree.lemmas[verb] in self.verbs["transitive"] and self.chance(0.85):
            thing = self.nouns.measure(tree, "thing") if self.chance(0.07) else self.nouns.phrase(tree)
            tree.attach(thing, verb, "dobj")
            if self.chance(0.1):
                self.places.conjuncts(tree, thing)
            if self.chance(0.12):
                self.places.plain(tree, thing, self.pick(["with", "of", "for"]))
            if self.chance(0.4):
                self.places.place(tree, verb, noun)
            return
        if self.chance(0.06):
            word = self.pick(
                ["together", "outside", "nearby", "around", "alone", "outdoors", "inside", "away"]
            )
            tree.attach(tree.add(word, "RB", "ADV"), verb, "advmod")
        self.places.place(tree, verb, noun)
        if self.chance(0.15):
            self.places.place(tree, verb, verb)
        elif self.chance(0.07):
            to = tree.add("to", "TO", "PART")
            purpose = self.verb(tree, "VB")
            tree.attach(to, purpose, "aux")
            tree.attach(purpose, verb, "advcl")
            tree.attach(self.nouns.phrase(tree), purpose, "dobj")

    def after_participle(self, tree: Tree, verb: int, noun: int | None) -> None:
        """What follows a past participle: `with food`, `by trees`, `on the street`."""
        draw = self.nouns.rng.random()
        if draw < 0.25:
            self.places.plain(tree, verb, self.pick(["with", "in", "with", "of", "from"]))
        elif draw < 0.4 and noun is not None:
            self.places.plain(tree, verb, "by")  # `agent` would lose the relation: see clearnlp.py
        else:
            self.places.place(tree, verb, noun)

    def adverbial(self, tree: Tree, verb: int) -> None:
        """`while holding a cup`, `as people watch`."""
        if self.chance(0.6):
            word = self.pick(["while", "while", ""])
            mark = tree.add(word, "IN", "SCONJ") if word else None
            second = self.verb(tree, "VBG")
        else:
            mark = tree.add(self.pick(["as", "while"]), "IN", "SCONJ")
            subject = self.nouns.phrase(tree)
            second = self.verb(tree, "VBP" if tree.tags[subject] == "NNS" else "VBZ")
            tree.attach(subject, second, "nsubj")
        if mark is not None:
            tree.attach(mark, second, "mark")
        tree.attach(second, verb, "advcl")
        self.complements(tree, second, None)

    def copula(self, tree: Tree, many: bool, pos: str = "AUX") -> int:
        word = "are" if many else "is"
        return tree.add(word, BE[word], pos, "be")

    def verb(self, tree: Tree, tag: str) -> int:
        """A verb in the form of a Penn tag."""
        if tag == "VBN":
            lemma = self.pick(self.verbs["passive"] * 2 + self.verbs["transitive"])
        else:
            lemma = self.pick(
                self.verbs["transitive"] + self.verbs["intransitive"] * 2 + self.verbs["stative"]
            )
        forms = {"VBG": gerund, "VBN": participle, "VBZ": third_person}
        return tree.add(forms.get(tag, str)(lemma), tag, "VERB", lemma)

    def _finish(self, tree: Tree, root: int) -> None:
        """Article before a vowel, final stop, capital: as people write them, not as models do."""
        for i, word in enumerate(tree.words[:-1]):
            if word == "a" and tree.words[i + 1][0] in "aeiou" and tree.deps[i] == "det":
                tree.words[i] = "an"
        if self.chance(0.45):
            tree.words[0] = tree.words[0].capitalize()
            if self.chance(0.8):
                tree.spaces[-1] = False
                tree.attach(tree.add(".", ".", "PUNCT"), root, "punct")
