"""Which classes a noun phrase names (profile `fixed`).

The head noun decides: "a wooden chair" is a chair, "a hot dog stand" is no class of COCO. Of the
synonyms that end at the head the longest counts ("hot dog" over "dog"); one that belongs to several classes
names them all. Words are compared whole, in singular form.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from relforge.stages.class_names import class_key
from relforge.stages.match.likeness import is_likeness
from relforge.stages.match.vocabulary import Vocabulary
from relforge.stages.match.words import singular, words

# fmt: off
QUANTITY_NOUNS = frozenset({
    "group", "bunch", "couple", "pair", "herd", "flock", "row", "line", "set", "pile", "stack", "piece",
    "slice", "lot", "number", "crowd", "variety", "assortment", "collection", "team", "family", "dozen",
    "hundred", "pack", "bundle", "cluster", "crop", "school", "swarm", "gaggle", "series", "selection",
    "array", "handful", "trio", "party", "class", "gathering", "type", "kind", "sort",
})
# fmt: on
"""Heads of phrases that name what follows their "of": "a group of people" names what "people" names."""

_PERSON_SUFFIXES = ("man", "woman", "boy", "girl", "person")
_NOT_PERSONS = frozenset(
    {"snowman", "doberman", "ottoman", "german", "roman", "talisman", "cayman", "shaman"}
)


@dataclass(frozen=True)
class Hit:
    """`category` is named, by `rule`: head, compound, of, suffix or hypernym.

    Args:
        level: 0 for the longest synonym; hits of a higher level count in images where none below it does.
        local: whether the hit counts in images alone that have a box of the class.
    """

    category: str
    rule: str
    level: int = 0
    local: bool = False


class PhraseMatcher:
    """Finds the classes that noun phrases name.

    Args:
        vocabulary: the tables.
        categories: the dataset's class names; hits are among these. Of names that mean the same class, the
            the first is used for all.
        local: those of them that only boxes tell of, no table and no list of the source. A hit of theirs, and
            what it keeps from shorter synonyms, is for images that have the class: which other images are
            looked at together must not matter.
    """

    def __init__(self, vocabulary: Vocabulary, categories: list[str], local: Collection[str] = ()) -> None:
        self._local = frozenset(local)
        self._everywhere: set[tuple[str, ...]] = set()
        self._synonyms: dict[tuple[str, ...], list[str]] = {}
        self._hypernyms: dict[tuple[str, ...], list[str]] = {}
        self._exceptions = {_singular(words(phrase)) for phrase in vocabulary.exceptions}
        # every table class takes part, in the dataset or not: "hot dog" must not fall back to "dog"
        # in a dataset that has dogs only
        first = {class_key(category): category for category in reversed(categories)}
        meant: dict[str, list[str]] = {}
        for synonyms in vocabulary.classes.values():
            self._add(synonyms, None)
        for category in categories:
            named = first[class_key(category)]
            self._add(vocabulary.synonyms(category), named)
            for known in vocabulary.find(category):
                if named not in meant.setdefault(known, []):
                    meant[known].append(named)
        for word, classes in vocabulary.hypernyms.items():
            found = dict.fromkeys(named for known in classes for named in meant.get(known, ()))
            self._hypernyms[_singular(words(word))] = list(found)
        self._max_words = max((len(form) for form in self._synonyms), default=1)
        persons = (named for known, named in meant.items() if class_key(known) == "person")
        self._person = next(persons, [None])[0]

    def _add(self, synonyms: list[str], category: str | None) -> None:
        """Let these words name the class, or, where it is None, none of the dataset's."""
        for synonym in synonyms:
            for form in {words(synonym), _singular(words(synonym))} - {()}:
                entry = self._synonyms.setdefault(form, [])
                if category not in self._local:
                    self._everywhere.add(form)
                if category is not None and category not in entry:
                    entry.append(category)

    def match(self, text: str, head: str = "", lemma: str = "") -> list[Hit]:
        """Classes that a phrase names.

        Args:
            text: the phrase, e.g. "two men".
            head: its head noun as it is in the text; empty: the last word before a preposition.
            lemma: lemmas of its words, single spaces between.
        """
        surface = words(text)
        if not surface:
            return []
        lemmas = words(lemma)
        if len(lemmas) != len(surface):
            lemmas = surface
        at = _find_head(surface, words(head))
        hits, decided = self._match_at_head(surface, lemmas, at)
        if decided:
            return hits
        level = hits[-1].level + 1 if hits else 0
        others = self._match_otherwise(surface, lemmas, at)
        return hits + [replace(hit, level=hit.level + level) for hit in others]

    def _match_otherwise(self, surface: tuple[str, ...], lemmas: tuple[str, ...], at: int) -> list[Hit]:
        """Classes of a phrase whose head is no synonym: by quantity, suffix or hypernym."""
        if is_quantity(surface[at]) and "of" in surface[at:-1]:
            tail = surface.index("of", at) + 1
            inner = self.match(" ".join(surface[tail:]), "", " ".join(lemmas[tail:]))
            return [replace(hit, rule="of") for hit in inner]
        noun = singular(surface[at])
        if noun == "couple" and "of" not in surface[at:] and self._person:
            return [Hit(self._person, "head")]
        if is_likeness(surface[:at], "person"):
            return []
        if self._person and noun.endswith(_PERSON_SUFFIXES) and noun not in _NOT_PERSONS:
            return [Hit(self._person, "suffix")]
        for start in range(max(0, at - 1), at + 1):
            found = self._hypernyms.get(_singular(surface[start : at + 1]))
            if found:
                return [Hit(category, "hypernym") for category in found]
        return []

    def _match_at_head(
        self, surface: tuple[str, ...], lemmas: tuple[str, ...], at: int
    ) -> tuple[list[Hit], bool]:
        """Classes of the longest synonym that ends at the head, after those of longer ones that count in some
        images only; and whether there is one that counts in all."""
        plain = _singular(surface)
        hits: list[Hit] = []
        level = 0
        for start in range(max(0, at + 1 - self._max_words), at + 1):
            forms = (surface[start : at + 1], plain[start : at + 1], lemmas[start : at + 1])
            if forms[1] in self._exceptions:
                return hits, True
            found = [c for form in dict.fromkeys(forms) for c in self._synonyms.get(form, ())]
            if found or any(form in self._synonyms for form in forms):
                rule = "head" if start == at else "compound"
                named = [c for c in dict.fromkeys(found) if not is_likeness(surface[:start], c)]
                hits += [Hit(category, rule, level, category in self._local) for category in named]
                level += 1
                if any(form in self._everywhere for form in forms):
                    return hits, True
        return hits, False


def is_quantity(word: str) -> bool:
    """Whether a phrase with this head noun names what follows its "of"."""
    return singular(word) in QUANTITY_NOUNS


def _singular(form: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(singular(word) for word in form)


def _find_head(surface: tuple[str, ...], head: tuple[str, ...]) -> int:
    if head:
        for index in range(len(surface) - 1, -1, -1):
            if surface[index] == head[-1]:
                return index
    for index, word in enumerate(surface):
        if word in {"of", "in", "on", "with", "at", "for", "from", "by", "to"} and index:
            return index - 1
    return len(surface) - 1
