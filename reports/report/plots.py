"""Plots as inline SVG. Colours are the page's; every text is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 420, 240
_LEFT, _BOTTOM, _TOP, _RIGHT = 40, 34, 10, 12

Series = tuple[str, Sequence[tuple[float, float]]]
"""A CSS class and points within the unit square."""


def draw_bars(rows: Sequence[tuple[str, int]]) -> str:
    """Horizontal bars, in the given order: name, bar, number."""
    highest = max((count for _, count in rows), default=0) or 1
    lines = []
    for place, (name, count) in enumerate(rows):
        y = place * 24
        width = 300 * count / highest
        lines.append(
            f'<text x="172" y="{y + 16}" text-anchor="end">{escape(_short(name))}'
            f"<title>{escape(name)}</title></text>"
            f'<rect class="bar" x="180" y="{y + 4}" width="{width:.1f}" height="16" rx="2"/>'
            f'<text class="soft" x="{186 + width:.1f}" y="{y + 16}">{count:,}</text>'
        )
    return _svg(560, max(24 * len(rows), 24), "".join(lines))


def draw_columns(counts: Sequence[int], label: str) -> str:
    """A histogram over 0 to 1."""
    highest = max(counts, default=0) or 1
    step = (WIDTH - _LEFT - _RIGHT) / max(len(counts), 1)
    drawn = "".join(
        f'<rect class="bar" x="{_LEFT + i * step + 1:.1f}" y="{_y(count / highest):.1f}" '
        f'width="{step - 2:.1f}" height="{_y(0) - _y(count / highest):.1f}"><title>{count:,}</title></rect>'
        for i, count in enumerate(counts)
    )
    return _svg(WIDTH, HEIGHT, _axes(label, [(0.0, "0"), (1.0, f"{highest:,}")]) + drawn)


def draw_lines(series: Sequence[Series], label: str, marks: Sequence[tuple[float, str, str]] = ()) -> str:
    """Curves over 0 to 1.

    Args:
        series: drawn in order.
        label: of the x axis.
        marks: upright lines: x, CSS class, text.
    """
    drawn = _axes(label, [(tick / 4, f"{tick / 4:g}") for tick in range(5)])
    for name, points in series:
        path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
        drawn += f'<polyline class="line {name}" points="{path}"/>'
        if len(points) < 30:
            drawn += "".join(
                f'<circle class="dot {name}" cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="3"/>' for x, y in points
            )
    for place, (x, name, text) in enumerate(marks):
        anchor, shift = ("end", -4) if x > 0.6 else ("start", 4)
        drawn += (
            f'<path class="mark {name}" d="M{_x(x):.1f} {_y(0)}V{_y(1)}"/>'
            f'<text class="mark {name}" x="{_x(x) + shift:.1f}" y="{_y(1) + 12 + 15 * place}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )
    return _svg(WIDTH, HEIGHT, drawn)


def _axes(label: str, ticks: Sequence[tuple[float, str]]) -> str:
    grid = "".join(
        f'<path class="grid" d="M{_LEFT} {_y(at):.1f}H{WIDTH - _RIGHT}"/>'
        f'<text class="soft" x="{_LEFT - 6}" y="{_y(at) + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        for at, text in ticks
    )
    below = "".join(_under(tick / 4, f"{tick / 4:g}", HEIGHT - 18) for tick in range(5))
    return grid + below + _under(0.5, label, HEIGHT - 3)


def _under(at: float, text: str, y: int) -> str:
    return f'<text class="soft" x="{_x(at):.1f}" y="{y}" text-anchor="middle">{escape(text)}</text>'


def _x(value: float) -> float:
    return _LEFT + value * (WIDTH - _LEFT - _RIGHT)


def _y(value: float) -> float:
    return _TOP + (1 - value) * (HEIGHT - _TOP - _BOTTOM)


def _short(name: str) -> str:
    return name if len(name) <= 26 else name[:25] + "…"


def _svg(width: int, height: int, inside: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">{inside}</svg>'
