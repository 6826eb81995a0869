"""What the parser has besides its weights: words, frames and usual names, as one JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from relforge.stages.parse.learned.lemmas import verb_lemmas
from relforge.stages.parse.learned.spelling import Speller

NO_RELATION = ""
"""Frame 0."""


@dataclass(frozen=True)
class Tables:
    """Vocabularies and translations counted from the training data.

    Args:
        known: words with an embedding of their own.
        frames: predicate frames by class index; the first is `NO_RELATION`.
        implied: attributes that captions imply without a word (feet: 2).
        names: caption phrase -> gold entity name, where they differ (guy: person).
        attributes: caption phrase -> gold attribute, where they differ.
        lemmas: verb form -> lemma, where the rules of `lemmas.py` give another.
        verbs: lemmas that have filled a frame.
    """

    known: list[str]
    frames: list[str]
    implied: list[str]
    names: dict[str, str]
    attributes: dict[str, str]
    lemmas: dict[str, str]
    verbs: list[str]

    @cached_property
    def speller(self) -> Speller:
        return Speller(self.known)

    @cached_property
    def _verbs(self) -> frozenset[str]:
        return frozenset(self.verbs)

    def lemma(self, word: str) -> str:
        """Dictionary form of a word that fills a frame: the first candidate that is a known verb."""
        if word in self.lemmas:
            return self.lemmas[word]
        meant = self.speller.correct(word)
        for candidate in (*verb_lemmas(word), *verb_lemmas(meant)):
            if candidate in self._verbs:
                return candidate
        return verb_lemmas(word)[0]

    @classmethod
    def load(cls, path: Path) -> Tables:
        return cls(**json.loads(path.read_text(encoding="utf-8")))
