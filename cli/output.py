"""Printing: tables and sentences for people, one JSON document for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, TextIO

import typer

from relforge.redaction import redact

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
"""The `--json` switch that every printing verb takes."""

Table = tuple[tuple[str, ...], Sequence[tuple[object, ...]]]
"""Column names and rows."""

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What a terminal obeys instead of showing: control characters, line and direction marks, lone surrogates."""


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    text = redact(json.dumps(value, indent=2, ensure_ascii=False, default=str))
    lines = (_CONTROL.sub(lambda one: f"\\u{ord(one[0]):04x}", line) for line in text.split("\n"))
    sys.stdout.write("\n".join(lines) + "\n")


def print_line(text: str = "", to: TextIO | None = None) -> None:
    """One line, whatever the text holds, on standard output or `to`; every verb prints by it."""
    print(escape_control(text), file=to or sys.stdout, flush=to is sys.stderr)


def report_error(message: str, code: int, as_json: bool) -> None:
    """One sentence on standard error; under `--json` also a document on standard output."""
    if as_json:
        print_json({"error": message, "exit_code": code})
    print_line(f"relforge: {message}", sys.stderr)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Aligned columns. On a terminal long cells wrap; elsewhere every row stays on one line."""
    cells = [[format_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        from rich import box
        from rich import table as rich_table
        from rich.console import Console
        from rich.text import Text

        name = Text(escape_control(title)) if title else None
        table = rich_table.Table(title=name, box=box.SIMPLE_HEAD, title_justify="left")
        for column in columns:
            table.add_column(Text(escape_control(column)))
        for row in cells:
            table.add_row(*(Text(value) for value in row))
        Console().print(table)
        return
    if title:
        print_line(title)
    widths = [max([len(column), *(len(row[i]) for row in cells)]) for i, column in enumerate(columns)]
    for row in [list(columns), *cells]:
        print_line("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())


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
    return escape_control(str(value))


def escape_control(text: str) -> str:
    r"""Control characters as `\x1b`: captions and names come from files that nobody has checked. Secrets are
    hidden."""
    return _CONTROL.sub(lambda one: one[0].encode("unicode_escape").decode(), redact(text))
