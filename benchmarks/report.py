"""Output of every benchmark: a small table for people, `--json` for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table


def emit(rows: Sequence[Mapping[str, object]], as_json: bool, title: str = "") -> None:
    """Print rows that have at least `case`, `peer`, `ours`, `theirs`, `ratio`.

    Args:
        rows: one measurement each; units are in the key names or in `unit`.
        as_json: a JSON list on standard output and nothing else.
        title: the line above the table.
    """
    if as_json:
        print(json.dumps([dict(row) for row in rows], indent=1))
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns, title=title or None)
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    Console(width=max(100, 16 * len(columns))).print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
