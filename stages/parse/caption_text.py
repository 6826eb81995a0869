"""Words of a caption with their places, for rules on the words of a caption."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from relforge.stages.parse.learned.lemmas import verb_lemmas

Span = tuple[int, int]
"""Words [first, last], both included."""

_WORD = re.compile(r"[^\W_]+(?:[-'’.][^\W_]+)*|[^\w\s]", re.UNICODE)

ARTICLES = frozenset({"a", "an", "the"})
_DEFINITE = "the his her its their this that these those my your our"
DEFINITE = frozenset(_DEFINITE.split())
_INDEFINITE = "some any another other each every both all no single more"
DETERMINERS = ARTICLES | DEFINITE | frozenset(_INDEFINITE.split())


@dataclass(frozen=True)
class CaptionText:
    """Lower-cased words and marks of a caption.

    Args:
        words: in order.
        start, end: character span [start, end) of each.
    """

    words: Sequence[str]
    start: Sequence[int]
    end: Sequence[int]

    @classmethod
    def of(cls, caption: str) -> CaptionText:
        found = list(_WORD.finditer(caption))
        return cls(
            [match.group().lower().replace("’", "'") for match in found],
            [match.start() for match in found],
            [match.end() for match in found],
        )

    def place(self, start: int, end: int) -> Span | None:
        """The words that overlap the characters [start, end); None where there is none."""
        if start < 0:
            return None
        first, stop = bisect_right(self.end, start), bisect_left(self.start, end)
        return (first, stop - 1) if first < stop else None


def says(said: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether words contain others in their order; a verb in any of its forms counts."""
    at = 0
    for word in said:
        if at < len(wanted) and (word == wanted[at] or wanted[at] in verb_lemmas(word)):
            at += 1
    return at == len(wanted)
