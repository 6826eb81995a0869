"""The report of detections as HTML."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from relforge.reports.html import fill, write_page
from relforge.reports.report import blocks, plots
from relforge.reports.report.detections import (
    ERRORS,
    PREDICATE,
    RARITY,
    describe_errors,
    list_errors,
    list_predicates,
    list_rarity,
)


def write_detections(data: dict[str, Any], out: str) -> None:
    """Write `gather_detections`' values as one page that needs no other file."""
    title = f"{Path(data['detections']).name} - relforge report"
    write_page(fill(__package__, "page.html", title, body=render_detections(data)), out)


def render_detections(data: dict[str, Any]) -> str:
    """The page between its header and its end."""
    rules = [f"{name} {value}" for name, value in data["options"].items()]
    sentence = f"{data['annotations']} · protocol {data['protocol']} · {' · '.join(rules)}"
    measures = [
        (name.replace("_", " "), one["value"], one["prior"]) for name, one in data["measures"].items()
    ]
    return "\n".join(
        [
            f"<h1>{escape(data['detections'])}</h1>",
            f'<p class="soft">{escape(sentence)}</p>',
            blocks.section(
                "Measures",
                blocks.cards([(name, value) for name, value, _ in measures]),
                blocks.table(("measure", "value", "frequency prior"), measures),
                blocks.table(("count", ""), list(data["counts"].items())),
            ),
            blocks.section(
                "Why detections are wrong",
                f'<p class="soft">{escape(describe_errors(data))}.</p>',
                blocks.figure("verdicts", plots.draw_bars(list(data["errors"].items()))),
                blocks.table(ERRORS, list_errors(data)),
                blocks.table(PREDICATE, list_predicates(data)),
            ),
            blocks.section(
                f"mAP by rows of a kind in the {data['rarity_of']}",
                blocks.table(RARITY, list_rarity(data)),
            ),
        ]
    )
