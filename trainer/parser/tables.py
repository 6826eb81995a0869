"""The parser's word tables, counted from an aligned corpus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from relforge.stages.parse.learned.lemmas import verb_lemmas
from relforge.stages.parse.learned.parse import Span
from relforge.stages.parse.learned.tables import NO_RELATION, Tables
from relforge.trainer.parser.align import Aligned

MIN_WORD = 2
MIN_FRAME = 2
MIN_IMPLIED = 10
"""How often training captions must show a word, a frame or an unspelt attribute for it to get a row."""


def most_frequent(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """key -> the value it has most often (ties: alphabetical)."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for key, value in found:
        counts[key][value] += 1
    return {key: min(seen, key=lambda value: (-seen[value], value)) for key, seen in sorted(counts.items())}


def _phrase(aligned: Aligned, span: Span) -> str:
    return " ".join(aligned.words[span[0] : span[1] + 1])


def count_tables(corpus: Sequence[Aligned]) -> Tables:
    """Tables of an aligned corpus."""
    words = Counter(word for aligned in corpus for word in aligned.words)
    frames = Counter(frame for aligned in corpus for frame, _, _ in aligned.relations.values())
    implied = Counter(text for aligned in corpus for _, text in aligned.implied)
    names = most_frequent((_phrase(a, span), name) for a in corpus for span, name in a.entities.items())
    texts = most_frequent(
        (_phrase(a, span), text) for a in corpus for (span, _), text in a.attributes.items()
    )
    filled = [(a.words[i], lemma) for a in corpus for _, i, lemma in a.relations.values() if i >= 0]
    lemmas = most_frequent(filled)
    by_count = lambda counter, minimum: [  # noqa: E731
        key
        for key, times in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
        if times >= minimum
    ]
    return Tables(
        known=by_count(words, MIN_WORD),
        frames=[NO_RELATION, *by_count(frames, MIN_FRAME)],
        implied=by_count(implied, MIN_IMPLIED),
        names={key: value for key, value in names.items() if key != value},
        attributes={key: value for key, value in texts.items() if key != value},
        lemmas={key: value for key, value in lemmas.items() if verb_lemmas(key)[0] != value},
        verbs=by_count(Counter(lemma for _, lemma in filled), MIN_WORD),
    )
