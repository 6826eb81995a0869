"""Record identities as 64-bit codes, so that 30 million of them fit in an array.

Datasets write ids as numbers or as text. A non-negative integer is its own code, and so is its decimal
text (`139`, `139.0` and `"139"` are one id); any other text gets a negative code in order of first
appearance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.ingest.values import as_id

NONE = int(np.iinfo(np.int64).min)
"""The code of an id that is absent."""


class Ids:
    """Codes for ids, and ids for codes."""

    def __init__(self) -> None:
        self._code: dict[str, int] = {}
        self._text: list[str] = []

    def code(self, value: object) -> int:
        """The code of one id; `NONE` for what is none (`values.as_id`)."""
        identity = as_id(value)
        if identity is None:
            return NONE
        if isinstance(identity, int) and 0 <= identity < 2**63:
            return identity
        text = str(identity)
        if text.isascii() and text.isdigit() and len(text) < 19 and (text == "0" or text[0] != "0"):
            return int(text)
        if text not in self._code:
            self._code[text] = -1 - len(self._text)
            self._text.append(text)
        return self._code[text]

    def codes(self, values: Sequence[object] | np.ndarray) -> np.ndarray:
        """Codes of many ids, as int64; fast where all are non-negative integers.

        Args:
            values: `true` and `false` among integers are taken for 1 and 0: `values.as_id` refuses them.
        """
        if isinstance(values, np.ndarray):
            return values if not len(values) or values.min() >= 0 else self.codes(values.tolist())
        try:
            found = np.array(values)
        except (ValueError, OverflowError):
            found = np.empty(0)
        if found.dtype == np.int64 and len(found) == len(values) and (not len(found) or found.min() >= 0):
            return found
        return self.codes_of(values)

    def codes_of(self, values: Sequence[object]) -> np.ndarray:
        """Codes of values of any type, as int64."""
        return np.fromiter((self.code(v) for v in values), np.int64, len(values))

    def text(self, code: int) -> str:
        """The id as the tables write it; the empty text where it is absent."""
        if code == NONE:
            return ""
        return str(code) if code >= 0 else self._text[-code - 1]

    def texts(self, codes: np.ndarray) -> pa.Array:
        """Ids of many codes, as an Arrow string array."""
        if not len(codes) or codes.min() >= 0:
            return pc.cast(pa.array(codes, pa.int64()), pa.string())
        return pa.array([self.text(c) for c in codes.tolist()], pa.string())


class IdSet:
    """Id codes already read, for sources of many files or many small batches."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []  # each sorted

    def add(self, codes: np.ndarray) -> None:
        self._parts.append(np.sort(codes))
        if len(self._parts) > 32:
            self._parts = [np.sort(np.concatenate(self._parts))]

    def has(self, codes: np.ndarray) -> np.ndarray:
        """For each code whether it was added."""
        found = np.zeros(len(codes), bool)
        for part in self._parts:
            if len(part):
                found |= part[np.minimum(np.searchsorted(part, codes), len(part) - 1)] == codes
        return found
