"""Captions of many images, stored compactly and found by image id or file name."""

from __future__ import annotations

from collections.abc import Iterable, KeysView

import numpy as np

from relforge.stages.caption.files import Entry

_FAULTS = ("", "null_caption", "not_text")


class CaptionIndex:
    """Key -> captions, about 60 bytes per key and the text itself once, as UTF-8.

    Args:
        entries: in the order of the file; the captions of a key need not be adjacent.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._row: dict[str, int] = {}
        text = bytearray()
        owners, ends, faults = [], [], []
        for key, caption, fault in entries:
            owners.append(self._row.setdefault(key, len(self._row)))
            # lone surrogates survive here, so that cleaning can count them
            text += (caption or "").encode("utf-8", "surrogatepass")
            ends.append(len(text))
            faults.append(_FAULTS.index(fault))
        owner = np.array(owners, np.int64)
        self._text = bytes(text)
        self._end = np.array(ends, np.int64)
        self._fault = np.array(faults, np.int8)
        self._order = np.argsort(owner, kind="stable")
        self._first = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(self._row)))])

    def __len__(self) -> int:
        return len(self._row)

    def keys(self) -> KeysView[str]:
        """Every key of the files."""
        return self._row.keys()

    def get(self, key: str) -> list[tuple[str, str]] | None:
        """The captions of a key, in file order, each with its fault or ""; None where no file has the key."""
        row = self._row.get(key)
        if row is None:
            return None
        chosen = self._order[self._first[row] : self._first[row + 1]].tolist()
        return [(self._caption(k), _FAULTS[self._fault[k]]) for k in chosen]

    def _caption(self, k: int) -> str:
        start = int(self._end[k - 1]) if k else 0
        return self._text[start : int(self._end[k])].decode("utf-8", "surrogatepass")
