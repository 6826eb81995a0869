"""Parts of a report page: panels, figures, tables and large numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def cards(values: Sequence[tuple[str, float]]) -> str:
    """Large numbers with what they are."""
    shown = "".join(f"<div><b>{value:.3f}</b><span>{escape(name)}</span></div>" for name, value in values)
    return f'<div class="cards">{shown}</div>'


def section(title: str, *parts: str) -> str:
    """A panel under a heading; `title` and `parts` are HTML."""
    return f"<section><h2>{title}</h2>{''.join(parts)}</section>"


def figure(title: str, plot: str) -> str:
    """A plot under its caption; both are HTML."""
    return f"<figure><figcaption>{title}</figcaption>{plot}</figure>"


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of texts and numbers; numbers stand to the right, texts are escaped."""
    rows = list(rows)
    numeric = [any(isinstance(row[at], int | float) for row in rows) for at in range(len(names))]
    head = "".join(
        f"<th{' class=number' if right else ''}>{escape(name)}</th>"
        for name, right in zip(names, numeric, strict=True)
    )
    lines = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.3f}</td>'
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{'' if value is None else escape(str(value))}</td>"
