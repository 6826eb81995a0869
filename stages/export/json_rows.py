"""A JSON list on disk, one row a line, that is never whole in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec


def write_json_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the rows as they come."""
    encoder = msgspec.json.Encoder()
    with path.open("wb") as out:
        out.write(b"[")
        for number, row in enumerate(rows):
            out.write((b",\n" if number else b"\n") + encoder.encode(row))
        out.write(b"\n]\n")
