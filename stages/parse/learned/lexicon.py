"""From a word to its vector rows: known-word index and hashed letter n-grams."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from relforge.stages.parse.learned.spelling import Speller

UNKNOWN = 0
"""Row of every word outside the vocabulary."""

SHAPES = 8
"""Rows for the shape of a word: letters, digits, mark, hyphen, foreign letters, ..."""


def shape(word: str) -> int:
    """A coarse class of the word's letters, in [0, `SHAPES`)."""
    if word.isdigit():
        return 1
    if word.isascii():
        if word.isalpha():
            return 0
        if not any(letter.isalnum() for letter in word):
            return 2
        if "-" in word:
            return 3
        return 4 if word[0] == "'" else 5
    return 6 if word.isalpha() else 7


def ngrams(word: str, buckets: int) -> list[int]:
    """Hash rows of the word's letter 3- to 5-grams with boundary marks, and of its prefix and suffix.

    CRC-32 rather than `hash`: the same on every machine and in every process.
    """
    marked = f"<{word[:24]}>"
    grams = {marked[i : i + n] for n in (3, 4, 5) for i in range(len(marked) - n + 1)}
    grams |= {f"^{word[:n]}" for n in (1, 2, 3)} | {f"{word[-n:]}$" for n in (1, 2, 3)}
    return sorted(zlib.crc32(gram.encode()) % buckets for gram in grams)


class Lexicon:
    """Numbers for words. A slip ("chiar") has the numbers of the word that was meant.

    Args:
        known: words with a row of their own, in row order; row 0 is the unknown word's.
        buckets: rows of the n-gram table.
    """

    def __init__(self, known: Sequence[str], buckets: int) -> None:
        self.known = list(known)
        self.buckets = buckets
        self.speller = Speller(known)
        self.row = {word: index + 1 for index, word in enumerate(self.known)}

    def encode(self, vocabulary: Iterable[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rows for each distinct word.

        Returns:
            word rows (V,), shape rows (V,), flat n-gram rows (G,), and offsets (V,) into the latter.
        """
        rows: list[int] = []
        shapes: list[int] = []
        flat: list[int] = []
        offsets: list[int] = []
        for word in map(self.speller.correct, vocabulary):
            rows.append(self.row.get(word, UNKNOWN))
            shapes.append(shape(word))
            offsets.append(len(flat))
            flat += ngrams(word, self.buckets)
        as_ids = lambda values: np.asarray(values, dtype=np.int64)  # noqa: E731
        return as_ids(rows), as_ids(shapes), as_ids(flat), as_ids(offsets)
