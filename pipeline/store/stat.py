"""What a listing says about a file."""

from __future__ import annotations

from typing import NamedTuple


class Stat(NamedTuple):
    """Size in bytes, and a time of the last change that is only ever compared for equality."""

    size: int
    modified: float | str
