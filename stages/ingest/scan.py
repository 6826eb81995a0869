"""COCO's records read by native code (csrc/), which makes rows of numbers without an object per record.

It reads what is plain: members in any order, integers of up to 18 digits as ids, boxes of decimal numbers,
text in ASCII without escapes. Any other record is read by the general reader. The numbers of polygons
are not read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from relforge.kernels.native import loading
from relforge.kernels.native.build import SCAN
from relforge.stages.ingest.spill import BOX

T = TypeVar("T")

IMAGE = np.dtype([("id", "<i8"), ("width", "<i4"), ("height", "<i4"), ("name_end", "<i8")])
"""One image; its name is in `Scanned.names`, from the end of the one before."""

_IRREGULAR = np.dtype([("row", "<i8"), ("begin", "<i8"), ("end", "<i8")])
_SHORTEST = 24
"""Bytes of a record; more records than a text can have of these are left for the next call."""


class _Scan(ctypes.Structure):
    """`rf_scan` of csrc/scan.cpp."""

    _fields_ = [
        ("text", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("size", "capacity")),
        *((name, ctypes.c_void_p) for name in ("rows", "irregular", "names")),
        *((name, ctypes.c_int64) for name in ("row_count", "irregular_count", "end")),
    ]


@dataclass(frozen=True)
class Scanned(Generic[T]):
    """Records, in their order.

    Args:
        rows: N of the scanner's dtype; without meaning in rows that `irregular` names.
        irregular: places in `rows` of the records that are not plain.
        decoded: what the general reader made of those.
        names: file names one behind the other, uint8 ASCII.
    """

    rows: np.ndarray
    irregular: np.ndarray
    decoded: list[T]
    names: np.ndarray


class Scanner(Generic[T]):
    """Reads windows of one array.

    Args:
        kind: `boxes` (`BOX` rows) or `images` (`IMAGE` rows).
        decode: decodes a JSON array of records; raises ValueError where it is none.

    Raises:
        LibraryUnavailable: there is no native code here.
    """

    def __init__(self, kind: str, decode: Callable[[bytes], list[T]]) -> None:
        self._scan = getattr(loading.load(SCAN), f"rf_scan_{kind}")
        self._dtype = {"boxes": BOX, "images": IMAGE}[kind]
        self._decode = decode

    def __call__(self, text: memoryview) -> tuple[Scanned[T], int]:
        """Read whole records.

        Args:
            text: begins at one.

        Returns:
            the records, none where the first is not whole or is no object; and how many bytes they take up.

        Raises:
            ValueError: a record is not JSON.
        """
        data = np.frombuffer(text, np.uint8)
        rows = np.empty(len(data) // _SHORTEST + 1, self._dtype)
        irregular = np.empty(len(rows), _IRREGULAR)
        names = np.empty(len(data) if self._dtype is IMAGE else 0, np.uint8)
        call = _Scan(data.ctypes.data, len(data), len(rows))
        call.rows, call.irregular, call.names = (array.ctypes.data for array in (rows, irregular, names))
        self._scan(ctypes.byref(call))
        rows, irregular = rows[: call.row_count].copy(), irregular[: call.irregular_count]
        found = [text[begin:end] for _, begin, end in irregular.tolist()]
        decoded = self._decode(b"[" + b",".join(found) + b"]") if found else []
        used = int(rows["name_end"][-1]) if len(names) and len(rows) else 0
        return Scanned(rows, irregular["row"].copy(), decoded, names[:used].copy()), call.end


def load_scanner(kind: str, decode: Callable[[bytes], list[T]]) -> Scanner[T] | None:
    """The scanner, or None where there is no native code."""
    return None if loading.why_unavailable(SCAN) else Scanner(kind, decode)
