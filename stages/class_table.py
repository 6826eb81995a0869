"""The table `classes`: what the source's own list has of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from relforge.stages.tables import SCHEMAS


class Origin(NamedTuple):
    """What the source's list says of a class beside its name and synonyms: its id, and the class above it."""

    source_id: str | None = None
    supercategory: str | None = None


def make_classes(
    listed: Mapping[str, Sequence[str]], origins: Mapping[str, Origin] | None = None
) -> pa.Table:
    """Rows for class -> the source's synonyms; a class without any is a row too."""
    rows = [
        {"category": name, "synonyms": list(dict.fromkeys(words))}
        | (origins or {}).get(name, Origin())._asdict()
        for name, words in sorted(listed.items())
    ]
    return pa.Table.from_pylist(rows, SCHEMAS["classes"])


def read_classes(table: pa.Table | None) -> dict[str, list[str]]:
    """Class -> the source's synonyms."""
    if table is None:
        return {}
    return dict(zip(table["category"].to_pylist(), table["synonyms"].to_pylist(), strict=True))
