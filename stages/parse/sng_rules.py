"""The scene graph rules of SceneGraphParser 0.1.0 over a parsed `Doc`.

The same graphs as the package's `parse()`, entity by entity and relation by relation (tests compare
them), at a fifth of its cost: heads, labels and parts of speech are read once as integers, and each
relation keeps the tokens its words came from. The word lists stay in the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from spacy.attrs import DEP, HEAD, POS
from spacy.symbols import NOUN, VERB
from spacy.tokens import Doc

from relforge.stages.parse.graph import Entity, Relation, SceneGraph

WordTest = Callable[[str], bool]


class SentenceRules:
    """One sentence under the rules.

    Args:
        doc: with heads, labels, parts of speech and lemmas.
        is_phrasal_verb: whether `lemma preposition` is on the package's list.
        is_phrasal_preposition: the same for `in front of`.
    """

    def __init__(self, doc: Doc, is_phrasal_verb: WordTest, is_phrasal_preposition: WordTest) -> None:
        self.doc = doc
        self.text = doc.text
        self.is_phrasal_verb = is_phrasal_verb
        self.is_phrasal_preposition = is_phrasal_preposition
        columns = doc.to_array([HEAD, DEP, POS]).astype(np.int64, copy=False)
        self.head = (columns[:, 0] + np.arange(len(doc))).tolist()
        names = doc.vocab.strings
        self.dep = [names[label] if label else "" for label in columns[:, 1].view(np.uint64).tolist()]
        self.pos = columns[:, 2].tolist()
        tokens = list(doc)
        self.words = [token.text for token in tokens]
        self.lemmas = [token.lemma_ for token in tokens]
        self.starts = [token.idx for token in tokens]
        self.children: list[list[int]] = [[] for _ in tokens]
        for i, head in enumerate(self.head):
            if head != i:
                self.children[head].append(i)
        self.verb_subject = self._verb_subjects()

    def graph(self) -> SceneGraph:
        chunks = [
            (start, end, self.doc[start:end].root.i)
            for start, end, _ in self.doc.noun_chunks_iterator(self.doc)
        ]
        found, fake = [], set()
        for _, _, root in chunks:
            relation = self._relation(root)
            if relation is not None:
                found.append((root, *relation))
                if self._is_complex(root, relation):
                    fake.add(self.head[self.head[root]])  # the `front` of `in front of`
        chunks = [chunk for chunk in chunks if chunk[2] not in fake]
        owner: dict[int, int] = {}
        for index, (start, end, _) in enumerate(chunks):
            for token in range(start, end):
                owner.setdefault(token, index)
        relations = [
            self._described(owner[subject], owner[thing], tokens)
            for root, first, tokens in found
            for subject in self._with_conjuncts(first)
            for thing in self._with_conjuncts(root)
            if subject in owner and thing in owner
        ]
        return SceneGraph(tuple(self._entity(*chunk) for chunk in chunks), tuple(relations))

    def _verb_subjects(self) -> dict[int, int]:
        """Who does it: `nsubj`, the noun a participle modifies, or the `by` phrase of a passive."""
        subjects = {}
        for i, (dep, head) in enumerate(zip(self.dep, self.head, strict=True)):
            if dep == "nsubj":
                subjects[head] = i
            elif dep == "acl":
                subjects[i] = head
            elif dep == "pobj" and self.dep[head] == "agent" and self.pos[self.head[head]] == VERB:
                subjects[self.head[head]] = i
        return subjects

    def _relation(self, noun: int) -> tuple[int, tuple[int, ...]] | None:
        """Subject token and predicate tokens of the relation that ends in `noun`."""
        dep, head = self.dep[noun], self.head[noun]
        if dep == "pobj":
            return self._prepositional(head)
        if dep in ("dobj", "attr", "nsubjpass") and head in self.verb_subject:
            return self.verb_subject[head], (head,)
        return None

    def _prepositional(self, preposition: int) -> tuple[int, tuple[int, ...]] | None:
        if self.dep[preposition] == "agent":
            return None
        above = self.head[preposition]
        top = self.head[above]
        both = (above, preposition)
        if above in self.verb_subject:
            verb = self.pos[above] == VERB
            subject = self.verb_subject[above]
            if verb and above + 1 == preposition and self.is_phrasal_verb(self._joined(self.lemmas, both)):
                return subject, both
            if verb or self.dep[above] == "acl":
                return subject, (preposition,)
        if self.dep[above] == "pobj" and self.is_phrasal_preposition(self._between(top, preposition).lower()):
            return self.head[top], tuple(range(top, preposition + 1))
        if self.pos[above] == NOUN:
            return above, (preposition,)
        if self.dep[above] in ("amod", "advmod"):
            if self.pos[top] == NOUN:
                return top, both
            if self.pos[top] == VERB and top in self.verb_subject:
                return self.verb_subject[top], both
        return None

    def _is_complex(self, noun: int, relation: tuple[int, tuple[int, ...]]) -> bool:
        return self.dep[noun] == "pobj" and len(relation[1]) > 2

    def _with_conjuncts(self, token: int) -> Iterator[int]:
        yield token
        for child in self.children[token]:
            if self.dep[child] == "conj":
                yield child

    def _described(self, subject: int, thing: int, tokens: tuple[int, ...]) -> Relation:
        first, last = tokens[0], tokens[-1]
        start, end = -1, -1
        if last - first + 1 == len(tokens):
            start, end = self.starts[first], self.starts[last] + len(self.words[last])
        if len(tokens) > 2:  # the published lemma of `in front of` is `in front`
            predicate, lemma = self._between(first, last), self._lemma(first, last)
        else:
            predicate, lemma = self._joined(self.words, tokens), self._joined(self.lemmas, tokens)
        return Relation(subject, predicate, lemma, thing, start, end)

    def _entity(self, start: int, end: int, root: int) -> Entity:
        head = self.words[root]
        attributes: list[str] = []
        for child in self.children[root]:
            dep = self.dep[child]
            if dep == "nummod":
                attributes.append(self.words[child])
            elif dep == "amod":
                attributes += [self.words[i] for i in self._with_conjuncts(child)]
            elif dep == "compound":
                head = f"{self.words[child]} {head}"
        text = self._between(start, end - 1)
        first = self.starts[start]
        return Entity(text, self._lemma(start, end), head, first, first + len(text), tuple(attributes))

    def _between(self, first: int, last: int) -> str:
        """The caption from token `first` to token `last`, both included."""
        return self.text[self.starts[first] : self.starts[last] + len(self.words[last])]

    def _lemma(self, start: int, end: int) -> str:
        """Lemmas of the tokens [start, end), spaced as in the caption."""
        return self.doc[start:end].lemma_

    @staticmethod
    def _joined(items: list[str], tokens: tuple[int, ...]) -> str:
        return " ".join([items[i] for i in tokens])
