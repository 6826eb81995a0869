"""Misspelt words to the common word one slip away."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.stages.match.words import singular
from relforge.stages.parse.learned.lemmas import verb_lemmas

MAX_COMMON = 1500
"""Words, most frequent first, that a slip may have meant."""

MIN_LETTERS = 5
"""Letters a word needs before it is taken for a slip: short unknown words are mostly words."""


class Speller:
    """Finds the commonest word within one slip: a letter too many, missing, wrong, or two swapped.

    Only words outside the vocabulary are looked up, and none that is a form of a word in it ("keyboards",
    "backing"); the first letter must agree, so that a rare word is seldom mistaken for a slip.

    Args:
        known: words, most frequent first.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self._known = frozenset(known)
        self._near: dict[str, list[tuple[int, str]]] = {}
        for rank, word in enumerate(known[:MAX_COMMON]):
            if len(word) >= MIN_LETTERS - 1 and word.isalpha():
                for key in _keys(word):
                    self._near.setdefault(key, []).append((rank, word))
        self._found: dict[str, str] = {}

    def correct(self, word: str) -> str:
        """The word meant, or the word itself."""
        if word in self._known or len(word) < MIN_LETTERS or not word.isalpha():
            return word
        if word not in self._found:
            if len(self._found) > 100_000:
                self._found.clear()
            self._found[word] = word if self._is_form(word) else self._nearest(word)
        return self._found[word]

    def _is_form(self, word: str) -> bool:
        """Whether a plural or a verb form belongs to a word of the vocabulary."""
        return any(base in self._known for base in (singular(word), *verb_lemmas(word)))

    def _nearest(self, word: str) -> str:
        near = {found for key in _keys(word) for found in self._near.get(key, ())}
        return min((found for found in near if _one_slip(word, found[1])), default=(0, word))[1]


def _keys(word: str) -> list[str]:
    """The word, and the word without each one of its letters but the first."""
    return [word, *dict.fromkeys(word[:i] + word[i + 1 :] for i in range(1, len(word)))]


def _one_slip(left: str, right: str) -> bool:
    if left[0] != right[0] or abs(len(left) - len(right)) > 1:
        return False
    same = 0
    while same < min(len(left), len(right)) and left[same] == right[same]:
        same += 1
    a, b = left[same:], right[same:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
