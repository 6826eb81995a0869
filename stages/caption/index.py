"""Captions of many images, stored compactly and found by image id or file name."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class CaptionIndex:
    """Key -> captions, about 60 bytes per key and the text itself once, as UTF-8.

    Args:
        rows: (key, caption) in the order of the file; the captions of a key need not be adjacent.
    """

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self._row: dict[str, int] = {}
        text = bytearray()
        owners, ends = [], []
        for key, caption in rows:
            owners.append(self._row.setdefault(key, len(self._row)))
            text += caption.encode("utf-8", "replace")
            ends.append(len(text))
        owner = np.array(owners, np.int64)
        self._text = bytes(text)
        self._end = np.array(ends, np.int64)
        self._order = np.argsort(owner, kind="stable")
        self._first = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(self._row)))])

    def __len__(self) -> int:
        return len(self._row)

    def get(self, key: str) -> list[str] | None:
        """The captions of a key, in file order; None where the file does not have it."""
        row = self._row.get(key)
        if row is None:
            return None
        chosen = self._order[self._first[row] : self._first[row + 1]].tolist()
        return [self._caption(k) for k in chosen]

    def _caption(self, k: int) -> str:
        start = int(self._end[k - 1]) if k else 0
        return self._text[start : int(self._end[k])].decode()
