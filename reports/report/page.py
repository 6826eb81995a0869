"""The report as HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from relforge.pipeline.run.answered import COLUMNS as ANSWERED
from relforge.reports.html import fill, write_page
from relforge.reports.report import blocks, plots
from relforge.reports.report.agreement import COLUMNS, describe_agreement, list_agreement
from relforge.reports.report.coverage import describe_coverage
from relforge.reports.report.funnel import COST, list_costs
from relforge.reports.report.label_counts import describe_label_counts
from relforge.reports.report.proposals import COLUMNS as PROPOSALS
from relforge.reports.report.proposals import list_proposals
from relforge.reports.report.quality_tables import (
    COMPARED,
    COVERAGE,
    FATE,
    PREDICATE,
    compare_choices,
    describe_unknown_words,
    explain_unjudged,
    list_coverage,
    list_fates,
    list_predicates,
)
from relforge.reports.report.rounds import COLUMNS as ROUNDS
from relforge.reports.report.rounds import describe_rounds, list_rounds

_BARS = 20


def write(data: dict[str, Any], out: str) -> None:
    """Write `gather`'s values as one page that needs no other file."""
    title = f"{data['dataset']} - relforge report"
    write_page(fill(__package__, "page.html", title, body=render_body(data)), out)


def render_body(data: dict[str, Any]) -> str:
    """The page between its header and its end."""
    state = "complete" if data["complete"] else "not complete: what follows is of the shards that are done"
    parts = [
        f"<h1>{escape(data['dataset'])}</h1>",
        f'<p class="soft">{escape(data["run"])} · profile {escape(data["profile"])} · {state}</p>',
        *(f'<p class="warning">{escape(sentence)}.</p>' for sentence in _sentences(data)),
        *([_quality(data["quality"]), _trust(data)] if data["quality"] else []),
        blocks.section(
            "Rows by table, losses by stage",
            plots.draw_bars(list(data["survival"].items())),
            _losses(data["steps"]),
        ),
        blocks.section(
            "Cost", blocks.table(COST, list_costs(data["steps"], data["survival"].get("images", 0)))
        ),
        blocks.section(
            f"The {escape(data['shown'])}",
            blocks.figure(
                "predicates",
                plots.draw_bars([(r["predicate"], r["count"]) for r in data["predicates"][:_BARS]]),
            ),
            blocks.figure("class pairs", plots.draw_bars([_pair(row) for row in data["pairs"][:_BARS]])),
            blocks.figure("scores of candidates", plots.draw_columns(data["histogram"], "score"))
            if data["histogram"]
            else "",
        ),
    ]
    if data["answered"]:
        parts.append(blocks.section("Answers of models", blocks.table(ANSWERED, data["answered_rows"])))
    if data["coverage"]:
        parts.append(_coverage(data["coverage"]))
    if data["agreement"]:
        parts.append(_agreement(data["agreement"]))
    if data["rounds"]:
        parts.append(_rounds(data["rounds"]))
    if data["proposals"]:
        rows = list_proposals(data["proposals"])
        parts.append(blocks.section("Relations that nobody said", blocks.table(PROPOSALS, rows)))
    if data["image_labels"]:
        parts.append(_image_labels(data["image_labels"]))
    if not data["quality"]:
        parts.append(f'<p class="soft">{escape(explain_unjudged(data["gold"]))}</p>')
    return "\n".join(parts)


def _sentences(data: dict[str, Any]) -> list[str]:
    """What the reader needs before the figures."""
    return ([f"The run failed: {data['stopped']}"] if data["stopped"] else []) + data["warnings"]


def _coverage(found: dict[str, Any]) -> str:
    unknown = [(row["category"], row["boxes"], row["named"]) for row in found["unknown"]]
    nouns = [(row["noun"], row["count"]) for row in found["nouns"][:_BARS]]
    return blocks.section(
        "Classes and captions",
        *(f'<p class="soft">{escape(sentence)}.</p>' for sentence in describe_coverage(found)),
        blocks.table(("class that no synonym table knows", "boxes", "phrases that name it"), unknown)
        if unknown
        else "",
        blocks.figure("commonest nouns that name no class", plots.draw_bars(nouns)) if nouns else "",
    )


def _agreement(found: dict[str, Any]) -> str:
    return blocks.section(
        "Agreement with people",
        f'<p class="soft">{escape(describe_agreement(found))}.</p>',
        blocks.table(COLUMNS, list_agreement(found, _BARS)),
    )


def _rounds(found: dict[str, Any]) -> str:
    return blocks.section(
        "Agreement with the first round",
        f'<p class="soft">{escape(describe_rounds(found))}.</p>',
        blocks.table(ROUNDS, list_rounds(found, _BARS)),
    )


def _image_labels(found: dict[str, Any]) -> str:
    rows = [(row["label"], row["count"]) for row in found["positive"][:_BARS]]
    return blocks.section(
        "Labels of images",
        f'<p class="soft">{escape(describe_label_counts(found, len(found["without"])))}.</p>',
        blocks.figure("positive images", plots.draw_bars(rows)) if rows else "",
        blocks.table(("state", "reason", "labels"), [tuple(row.values()) for row in found["states"]]),
    )


def _quality(found: dict[str, Any]) -> str:
    sentence = describe_unknown_words(found, _BARS)
    return blocks.section(
        f"Against {found['gold']:,} gold relations",
        _cards(found),
        blocks.table(("", *COMPARED), compare_choices(found)),
        _threshold_curve(found),
        _calibration(found),
        blocks.table(PREDICATE, list_predicates(found)),
        f'<p class="soft">{escape(sentence)}.</p>' if sentence else "",
    )


def _trust(data: dict[str, Any]) -> str:
    found = data["reliability"]
    parts = [blocks.table(FATE, list_fates(data["fates"]))]
    if found:
        bins = [(one["score"], one["precision"]) for one in found["bins"]]
        series = [("grid", [(0.0, 0.0), (1.0, 1.0)]), ("precision", bins)]
        title = f"kept relations by confidence, expected error {found['expected_calibration_error']:.3f}"
        parts += [
            blocks.figure(title, plots.draw_lines(series, "mean confidence of a bin")),
            blocks.table(COVERAGE, list_coverage(found)),
        ]
    return blocks.section("Where gold relations are lost, and how far confidence is right", *parts)


def _cards(found: dict[str, Any]) -> str:
    return blocks.cards(
        [
            ("F1 of kept relations", found["kept"]["f1"]),
            ("precision", found["kept"]["precision"]),
            ("recall", found["kept"]["recall"]),
            ("mAP of candidates", found["scored"]["mean_average_precision"]),
            ("mAP of the frequency prior", found["prior"]["mean_average_precision"]),
            ("F1 of greedy", found["greedy"]["f1"]),
        ]
    )


def _threshold_curve(found: dict[str, Any]) -> str:
    curves = {"precision": "precision", "recall": "recall", "f1": "F1"}
    used, best = found["threshold"]["threshold"], found["best"]["threshold"]
    marks = [(min(used, 1.0), "run", f"run {used:.2f}"), (best, "best", f"best {best:.2f}")]
    series = [(key, [(point["threshold"], point[key]) for point in found["curve"]]) for key in curves]
    legend = " ".join(f'<span class="{key}">{name}</span>' for key, name in curves.items())
    return blocks.figure(f"threshold: {legend}", plots.draw_lines(series, "threshold", marks))


def _calibration(found: dict[str, Any]) -> str:
    bins = [(one["score"], one["precision"]) for one in found["calibration"]]
    series = [("grid", [(0.0, 0.0), (1.0, 1.0)]), ("precision", bins)]
    error = found["expected_calibration_error"]
    title = f"calibration: precision by score, expected error {error:.3f}"
    return blocks.figure(title, plots.draw_lines(series, "mean score of a bin"))


def _losses(steps: Iterable[dict[str, Any]]) -> str:
    rows: list[tuple[object, ...]] = []
    for one in steps:
        rows.append((one["stage"], one["rows_in"], one["kept"], "", None))
        for kind in ("dropped", "quarantined"):
            rows.extend(("", None, None, f"{kind}: {reason}", count) for reason, count in one[kind].items())
    return blocks.table(("stage", "records in", "kept", "lost", "records"), rows)


def _pair(row: dict[str, Any]) -> tuple[str, int]:
    return f"{row['subject_class']} → {row['object_class']}", row["count"]
