"""`table.md`: the states of all parts, then the checks that failed and the figures of each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gpu_parts import PARTS
from gpu_parts.recorder import read

KNOWN = {"part", "figure", "value", "unit", "check", "ok"}


def latest(lines: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The last description of the device, and the lines of each part since it was last started."""
    device: dict[str, Any] = {}
    parts: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if "device" in line and "part" not in line:
            device = line["device"]
        elif line.get("state") == "started":
            parts[line["part"]] = []
        else:
            parts.setdefault(line["part"], []).append(line)
    return device, parts


def number(value: object) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def details(line: dict[str, Any]) -> str:
    """What a part said beside name and value."""
    return ", ".join(f"{key} {number(value)}" for key, value in line.items() if key not in KNOWN)


def cell(text: str) -> str:
    """A text as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def render(lines: list[dict[str, Any]]) -> str:
    """The page, in Markdown."""
    device, parts = latest(lines)
    page = ["# GPU checks and figures", ""]
    page += [", ".join(f"{key} {value}" for key, value in device.items() if value is not None), ""]
    page += ["| part | what | state | seconds | checks passed | why |", "|---|---|---|---|---|---|"]
    for part in PARTS:
        found = parts.get(part.name)
        end: dict[str, Any] = next((line for line in reversed(found or []) if "state" in line), {})
        checks = [line for line in found or [] if "check" in line]
        passed = f"{sum(line['ok'] for line in checks)} of {len(checks)}" if checks else ""
        state = end.get("state", "not run" if found is None else "running")
        row = [part.name, part.title, state, number(end.get("seconds", "")), passed, end.get("error", "")]
        page.append(f"| {' | '.join(cell(str(value)) for value in row)} |")
    for part in PARTS:
        found = parts.get(part.name, [])
        failed = [line for line in found if line.get("ok") is False]
        figures = [line for line in found if "figure" in line]
        if failed or figures:
            page += ["", f"## {part.name}: {part.title}", ""]
        page += [f"* check failed: {line['check']} ({details(line)})" for line in failed]
        if figures:
            page += [""] * bool(failed) + ["| figure | value | unit | |", "|---|---|---|---|"]
        for line in figures:
            row = [line["figure"], number(line["value"]), line["unit"], details(line)]
            page.append(f"| {' | '.join(cell(value) for value in row)} |")
    return "\n".join(page) + "\n"


def write_table(folder: Path) -> None:
    """`table.md` from `results.jsonl`, replaced in one step."""
    temporary = folder / "table.md.new"
    temporary.write_text(render(read(folder)), encoding="utf-8")
    os.replace(temporary, folder / "table.md")
