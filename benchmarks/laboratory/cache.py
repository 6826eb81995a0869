"""Cached results of long steps: files of the work folder, named by a hash of the settings."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def digest(settings: Any, work: Path) -> str:
    """Twelve hexadecimal digits; the same wherever the work folder is."""
    text = json.dumps(settings, sort_keys=True).replace(str(work), "")
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_or_make(work: Path, name: str, settings: Any, make: Callable[[], pa.Table]) -> pa.Table:
    """The cached table of these settings; where there is none, `make` it and keep it."""
    file = work / "tables" / f"{name}-{digest(settings, work)}.parquet"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        pq.write_table(make(), partial)
        partial.replace(file)
    return pq.read_table(file)
