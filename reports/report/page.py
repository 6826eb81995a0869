"""The report as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from relforge.reports.html import fill, write_page
from relforge.reports.report import plots

_BARS = 20


def write(data: dict[str, Any], out: str) -> None:
    """Write `gather`'s values as one page that needs no other file."""
    write_page(fill(__package__, "page.html", f"{data['dataset']} - relforge report", body=body(data)), out)


def body(data: dict[str, Any]) -> str:
    """The page between its header and its end."""
    state = "complete" if data["complete"] else "not complete: what follows is of the shards that are done"
    parts = [
        f"<h1>{escape(data['dataset'])}</h1>",
        f'<p class="soft">{escape(data["run"])} · profile {escape(data["profile"])} · {state}</p>',
        *([_quality(data["quality"])] if data["quality"] else []),
        _section(
            "Rows by table, losses by stage",
            plots.bars(list(data["survival"].items())),
            _losses(data["steps"]),
        ),
        _section(
            f"The {escape(data['shown'])}",
            _figure(
                "predicates", plots.bars([(r["predicate"], r["count"]) for r in data["predicates"][:_BARS]])
            ),
            _figure("class pairs", plots.bars([_pair(row) for row in data["pairs"][:_BARS]])),
            _figure("scores of candidates", plots.columns(data["histogram"], "score"))
            if data["histogram"]
            else "",
        ),
    ]
    if not data["quality"]:
        parts.append(
            '<p class="soft">The run knows no gold relations, so labels are counted and not judged.</p>'
        )
    return "\n".join(parts)


def _quality(found: dict[str, Any]) -> str:
    kept, best, prior, greedy = (found[name] for name in ("kept", "best", "prior", "greedy"))
    curve = [("precision", "precision"), ("recall", "recall"), ("F1", "f1")]
    marks = [
        (min(found["threshold"]["threshold"], 1.0), "run", f"run {found['threshold']['threshold']:.2f}"),
        (best["threshold"], "best", f"best {best['threshold']:.2f}"),
    ]
    series = [(css, [(p["threshold"], p[css]) for p in found["curve"]]) for _, css in curve]
    bins = [(one["score"], one["precision"]) for one in found["calibration"]]
    cards = [
        ("F1 of kept relations", kept["f1"]),
        ("precision", kept["precision"]),
        ("recall", kept["recall"]),
        ("mAP of candidates", found["scored"]["mean_average_precision"]),
        ("mAP of the frequency prior", prior["mean_average_precision"]),
        ("F1 of greedy", greedy["f1"]),
    ]
    shown = "".join(f"<div><b>{value:.3f}</b><span>{escape(name)}</span></div>" for name, value in cards)
    compared = _table(
        ("", "threshold", "precision", "recall", "F1", "mAP"),
        [
            ("kept relations", None, *_three(kept), kept["mean_average_precision"]),
            ("at the run's threshold", found["threshold"]["threshold"], *_three(found["threshold"]), None),
            (
                "at the best threshold",
                best["threshold"],
                *_three(best),
                found["scored"]["mean_average_precision"],
            ),
            (
                "frequency prior at its best",
                prior["threshold"],
                *_three(prior),
                prior["mean_average_precision"],
            ),
            ("greedy: every candidate", None, *_three(greedy), greedy["mean_average_precision"]),
        ],
    )
    keys = ("predicate", "gold", "kept", "right", "precision", "recall", "f1", "average_precision")
    names = ("predicate", "gold", "kept", "right", "precision", "recall", "F1", "AP", "prior's AP")
    rows = [tuple(row[key] for key in (*keys, "prior_average_precision")) for row in found["predicates"]]
    unknown = found["unknown_predicates"]
    note = ""
    if unknown:
        first = list(unknown.items())[:_BARS]
        listed = ", ".join(f"{escape(name)} {count:,}" for name, count in first)
        more = " …" if len(unknown) > _BARS else ""
        note = (
            f'<p class="soft">{sum(unknown.values()):,} kept relations use words the gold never uses '
            f"and count as wrong: {listed}{more}.</p>"
        )
    legend = " ".join(f'<span class="{css}">{name}</span>' for name, css in curve)
    error = found["expected_calibration_error"]
    return _section(
        f"Against {found['gold']:,} gold relations",
        f'<div class="cards">{shown}</div>',
        compared,
        _figure(f"threshold: {legend}", plots.lines(series, "threshold", marks)),
        _figure(
            f"calibration: precision by score, expected error {error:.3f}",
            plots.lines([("grid", [(0.0, 0.0), (1.0, 1.0)]), ("precision", bins)], "mean score of a bin"),
        ),
        _table(names, rows),
        note,
    )


def _three(found: dict[str, float]) -> tuple[float, float, float]:
    return found["precision"], found["recall"], found["f1"]


def _losses(steps: Iterable[dict[str, Any]]) -> str:
    rows: list[tuple[Any, ...]] = []
    for one in steps:
        rows.append((one["stage"], one["rows_in"], one["kept"], "", None))
        for kind in ("dropped", "quarantined"):
            rows.extend(("", None, None, f"{kind}: {reason}", count) for reason, count in one[kind].items())
    return _table(("stage", "records in", "kept", "lost", "records"), rows)


def _pair(row: dict[str, Any]) -> tuple[str, int]:
    return f"{row['subject_class']} → {row['object_class']}", row["count"]


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{title}</h2>{''.join(parts)}</section>"


def _figure(title: str, plot: str) -> str:
    return f"<figure><figcaption>{title}</figcaption>{plot}</figure>"


def _table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    rows = list(rows)
    numeric = [any(isinstance(row[at], int | float) for row in rows) for at in range(len(names))]
    head = "".join(
        f"<th{' class=number' if right else ''}>{escape(name)}</th>"
        for name, right in zip(names, numeric, strict=True)
    )
    lines = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.3f}</td>'
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{'' if value is None else escape(str(value))}</td>"
