"""The words of a caption that say a relation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relforge.stages.match.phrases import PhraseMatcher

ROLES = ("subject", "predicate", "object")

Span = tuple[int, int, str]
"""[start, end) in UTF-16 units of the caption (JavaScript's), and a role."""


def spans(
    text: str, triplets: Sequence[Mapping[str, Any]], predicate: str, pair: tuple[str, str], names: Names
) -> list[Span]:
    """What to highlight in one caption for one relation.

    Args:
        text: the caption.
        triplets: rows parsed from it.
        predicate: of the relation, as the caption words it.
        pair: classes of its subject and object box.
        names: which classes a phrase names. Where no triplet fits the classes, all with the predicate count.

    Returns:
        spans in order, none overlapping; empty where the parser knows no offsets.
    """
    said = [one for one in triplets if one["predicate"] == predicate]
    fitting = [one for one in said if names.fit(one, pair)]
    found: list[Span] = []
    for one in fitting or said:
        for role in ROLES:
            start, end = one[f"{role}_start"], one[f"{role}_end"]
            if start is not None and end is not None and 0 <= start < end <= len(text):
                found.append((_units(text[:start]), _units(text[:end]), role))
    return _apart(found)


class Names:
    """Which classes a noun phrase names, by the run's own synonyms.

    Args:
        matcher: None where the synonyms are not at hand; then nothing fits.
    """

    def __init__(self, matcher: PhraseMatcher | None) -> None:
        self._matcher = matcher

    def fit(self, triplet: Mapping[str, Any], pair: tuple[str, str]) -> bool:
        """Whether the triplet's phrases name the classes of the pair."""
        return all(
            category in self._named(triplet, role)
            for role, category in zip(("subject", "object"), pair, strict=True)
        )

    def _named(self, triplet: Mapping[str, Any], role: str) -> set[str]:
        if self._matcher is None:
            return set()
        hits = self._matcher.match(triplet[role], triplet[f"{role}_head"], triplet[f"{role}_lemma"])
        return {hit.category for hit in hits}


def _units(text: str) -> int:
    """Length as JavaScript counts it: astral characters (emoji) are two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _apart(found: list[Span]) -> list[Span]:
    """In order of place; of overlapping spans the earlier, then the longer one."""
    kept: list[Span] = []
    for start, end, role in sorted(set(found), key=lambda span: (span[0], -span[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end, role))
    return kept
