"""What the synonym tables leave out: classes that no table knows, and nouns that name no class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from relforge.stages.class_names import group_spellings
from relforge.stages.match.phrases import PhraseMatcher, is_quantity
from relforge.stages.match.vocabulary import Vocabulary
from relforge.stages.match.words import singular, words

Phrase = tuple[str, str, str, int]
"""A noun phrase of the table `triplets`: text, head and lemmas; and how often it is there."""


def find_unknown_classes(vocabulary: Vocabulary, classes: Iterable[str]) -> list[str]:
    """The classes that neither a table nor the source has words for: captions name them by their own name
    alone, in any spelling of it. Of names that mean one class, the first."""
    return [names[0] for names in group_spellings(classes).values() if not vocabulary.knows(names[0])]


def describe_unknown_classes(unknown: list[str], total: int, shown: int = 20) -> str:
    """One sentence."""
    more = f" and {len(unknown) - shown} more" if len(unknown) > shown else ""
    listed = ", ".join(unknown[:shown]) + more
    return (
        f"no synonym table knows {len(unknown):,} of {total:,} classes, so captions name them by "
        f"their own name alone: {listed}; `relforge synonyms` drafts a table"
    )


def count_nouns(
    vocabulary: Vocabulary, classes: Iterable[str], phrases: Iterable[Phrase]
) -> tuple[Counter[str], Counter[str]]:
    """Match phrases against all classes of a data set at once, so that no result depends on shards.

    Returns:
        class -> phrases that name it (of names that mean one class, the first), and
        noun -> phrases with this head that name no class, in the singular; quantities are no such nouns.
    """
    names = [found[0] for found in group_spellings([*classes, *vocabulary.classes]).values()]
    matcher = PhraseMatcher(vocabulary, names)
    named: Counter[str] = Counter()
    nouns: Counter[str] = Counter()
    for text, head, lemma, count in phrases:
        hits = matcher.match(text, head, lemma)
        named.update(dict.fromkeys({hit.category for hit in hits}, count))
        last = (words(head) or words(text))[-1:]
        if not hits and last and not is_quantity(last[0]):
            nouns[singular(last[0])] += count
    return named, nouns
