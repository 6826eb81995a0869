"""What the parser knows besides its weights: words, frames and usual names, as one JSON file."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from relforge.stages.parse.learned.lemmas import verb_lemmas
from relforge.stages.parse.learned.spelling import Speller
from relforge.trainer.parser.align import COUNT, Aligned, Span

NO_RELATION = ""
"""Frame 0."""

LEAST_WORD = 2
LEAST_FRAME = 2
LEAST_IMPLIED = 10
"""How often training captions must show a word, a frame or an unspelt attribute for it to get a row."""


@dataclass(frozen=True)
class Tables:
    """Vocabularies and look-ups learnt by counting.

    Args:
        known: words with an embedding of their own.
        frames: predicate frames by class index; the first is `NO_RELATION`.
        implied: attributes that captions imply without a word (feet: 2).
        names: caption phrase -> gold entity name, where they differ (guy: person).
        attributes: caption phrase -> gold attribute, where they differ.
        lemmas: verb form -> lemma, where the rules of `lemmas.py` say otherwise.
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

    def name(self, phrase: str) -> str:
        """Usual name of an entity phrase."""
        return self.names.get(phrase, phrase)

    def attribute(self, phrase: str) -> str:
        """Usual wording of an attribute phrase; counts as digits."""
        return COUNT.get(phrase) or self.attributes.get(phrase, phrase)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Tables:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def usual(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """key -> the value it has most often (ties: alphabetical)."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for key, value in found:
        counts[key][value] += 1
    return {key: min(seen, key=lambda value: (-seen[value], value)) for key, seen in sorted(counts.items())}


def phrase(aligned: Aligned, span: Span) -> str:
    return " ".join(aligned.words[span[0] : span[1] + 1])


def count_tables(corpus: Sequence[Aligned]) -> Tables:
    """Tables of an aligned corpus."""
    words = Counter(word for aligned in corpus for word in aligned.words)
    frames = Counter(frame for aligned in corpus for frame, _, _ in aligned.relations.values())
    implied = Counter(text for aligned in corpus for _, text in aligned.implied)
    names = usual((phrase(a, span), name) for a in corpus for span, name in a.entities.items())
    texts = usual((phrase(a, span), text) for a in corpus for (span, _), text in a.attributes.items())
    filled = [(a.words[i], lemma) for a in corpus for _, i, lemma in a.relations.values() if i >= 0]
    lemmas = usual(filled)
    by_count = lambda counter, least: [  # noqa: E731
        key for key, times in sorted(counter.items(), key=lambda item: (-item[1], item[0])) if times >= least
    ]
    return Tables(
        known=by_count(words, LEAST_WORD),
        frames=[NO_RELATION, *by_count(frames, LEAST_FRAME)],
        implied=by_count(implied, LEAST_IMPLIED),
        names={key: value for key, value in names.items() if key != value},
        attributes={key: value for key, value in texts.items() if key != value},
        lemmas={key: value for key, value in lemmas.items() if verb_lemmas(key)[0] != value},
        verbs=by_count(Counter(lemma for _, lemma in filled), LEAST_WORD),
    )
