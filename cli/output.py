"""Printing: tables and sentences for people, one JSON document for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
"""The `--json` switch that every printing verb takes."""

Table = tuple[tuple[str, ...], Sequence[tuple[object, ...]]]
"""Column names and rows."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")


def report_error(message: str, code: int, as_json: bool) -> None:
    """One sentence on standard error; under `--json` also a document on standard output."""
    if as_json:
        print_json({"error": message, "exit_code": code})
    print(f"relforge: {message}", file=sys.stderr)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Aligned columns. On a terminal long cells wrap; elsewhere every row stays on one line."""
    cells = [[format_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        from rich import box
        from rich import table as rich_table
        from rich.console import Console
        from rich.text import Text

        table = rich_table.Table(*columns, title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
        for row in cells:
            table.add_row(*(Text(value) for value in row))
        Console().print(table)
        return
    if title:
        print(title)
    widths = [max([len(column), *(len(row[i]) for row in cells)]) for i, column in enumerate(columns)]
    for row in [list(columns), *cells]:
        print("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())


def format_cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, list | tuple):
        return ", ".join(map(format_cell, value))
    return strip_control(str(value))


def strip_control(text: str) -> str:
    """One line without control characters: captions and names come from files that nobody has checked."""
    return _CONTROL.sub(" ", text)
