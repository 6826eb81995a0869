"""`relforge report`: of a run, rows and losses by stage, the labels and their quality; of detections, why
they are wrong."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line, print_table
from relforge.cli.status import print_warnings

_SHOWN = 12


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN|DETECTIONS", help="Run folder (path or URI), or detections with annotations=FILE."
        ),
    ],
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OPTION=VALUE]...", help="Of detections: options of relforge eval hico."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE.html", help="Where to write; default: RUN/report.html, DETECTIONS.html."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the report and write it as a page with plots; labels are evaluated where the run has gold.

    With annotations=FILE, TARGET is a table of detections or a model folder, as for relforge eval hico: its
    measures, why the best detections are wrong (subject's box, object's box, relation, ...), and mAP by how
    rare a kind is.
    """
    if options:
        return report_detections(target, options, out, as_json)
    from relforge.reports.report.gather import gather
    from relforge.reports.report.page import write

    page = out or f"{target.rstrip('/')}/report.html"
    data = gather(target)
    write(data, page)
    if as_json:
        return print_json({"out": page, **data})
    print_report(data)
    print_line()
    print_line(f"report page: {page}")
    return None


def report_detections(target: str, options: list[str], out: str | None, as_json: bool) -> None:
    """Measure detections, print what is found and write it as a page."""
    from relforge.cli.eval import build_evaluator
    from relforge.images import ImageError
    from relforge.reports.report import detections
    from relforge.reports.report.detection_page import write_detections
    from relforge.stages.contract import SourceError

    evaluator = build_evaluator("relforge report", "hico", options)
    try:
        data = detections.gather_detections(target, evaluator)
    except (ValueError, OSError, SourceError, ImageError) as error:
        raise BadInput(str(error)) from error
    page = out or f"{target.rstrip('/')}.html"
    write_detections(data, page)
    if as_json:
        return print_json({"out": page, **data})
    print_table((f"hico, {data['protocol']}", "value", "frequency prior"), detections.list_measures(data))
    print_table(detections.ERRORS, [_three_digits(row) for row in detections.list_errors(data)])
    print_line(detections.describe_errors(data))
    rarity = [_three_digits(row) for row in detections.list_rarity(data)]
    print_table((f"{detections.RARITY[0]} in the {data['rarity_of']}", *detections.RARITY[1:]), rarity)
    print_line(f"report page: {page}")
    return None


def print_report(data: dict[str, Any]) -> None:
    """The report as tables."""
    from relforge.reports.report.funnel import COST, list_costs

    if not data["complete"]:
        print_line("the run is not complete; this is of the shards that are done")
    if data["stopped"]:
        print_line(f"the run failed: {data['stopped']}")
    print_warnings(data["warnings"])
    print_table(("rows of", "count"), [(name, f"{count:,}") for name, count in data["survival"].items()])
    losses = [
        (step["stage"], kind, reason, f"{count:,}")
        for step in data["steps"]
        for kind in ("dropped", "quarantined")
        for reason, count in step[kind].items()
    ]
    if losses:
        print_line()
        print_table(("stage", "lost", "reason", "records"), losses)
    print_line()
    print_table(COST, list_costs(data["steps"], data["survival"].get("images", 0)))
    if data["answered"]:
        from relforge.pipeline.run.answered import COLUMNS

        print_line()
        print_table(COLUMNS, data["answered_rows"])
    if data["predicates"]:
        print_line()
        rows = [(row["predicate"], f"{row['count']:,}") for row in data["predicates"][:_SHOWN]]
        print_table((f"predicate of {data['shown']}", "count"), rows)
    if data["coverage"]:
        _print_coverage(data["coverage"])
    if data["agreement"]:
        _print_agreement(data["agreement"])
    if data["rounds"]:
        _print_rounds(data["rounds"])
    if data["proposals"]:
        _print_proposals(data["proposals"])
    if data["image_labels"]:
        _print_image_labels(data["image_labels"])
    if data["quality"]:
        print_line()
        _print_quality(data["quality"])
        _print_trust(data)
    else:
        print_line()
        from relforge.reports.report.quality_tables import explain_unjudged

        print_line(explain_unjudged(data["gold"]))


def _print_coverage(found: dict[str, Any]) -> None:
    from relforge.reports.report.coverage import describe_coverage

    if found["unknown"]:
        print_line()
        rows = [
            (row["category"], f"{row['boxes']:,}", f"{row['named']:,}") for row in found["unknown"][:_SHOWN]
        ]
        print_table(("class that no synonym table knows", "boxes", "phrases that name it"), rows)
    if found["nouns"]:
        print_line()
        counted = [(row["noun"], f"{row['count']:,}") for row in found["nouns"][:_SHOWN]]
        print_table(("noun that names no class", "phrases"), counted)
    for sentence in describe_coverage(found):
        print_line(sentence)


def _print_agreement(found: dict[str, Any]) -> None:
    from relforge.reports.report.agreement import COLUMNS, describe_agreement, list_agreement

    print_line()
    print_table(COLUMNS, [_three_digits(row) for row in list_agreement(found, _SHOWN)])
    print_line(describe_agreement(found))


def _print_proposals(found: list[dict[str, Any]]) -> None:
    from relforge.reports.report.proposals import COLUMNS, list_proposals

    print_line()
    print_table(COLUMNS, [_three_digits(row) for row in list_proposals(found)])


def _print_rounds(found: dict[str, Any]) -> None:
    from relforge.reports.report.rounds import COLUMNS, describe_rounds, list_rounds

    print_line()
    print_table(COLUMNS, [_three_digits(row) for row in list_rounds(found, _SHOWN)])
    print_line(describe_rounds(found))


def _print_image_labels(found: dict[str, Any]) -> None:
    from relforge.reports.report.label_counts import describe_label_counts

    print_line()
    rows = [(row["label"], f"{row['count']:,}") for row in found["positive"][:_SHOWN]]
    print_table(("label of images", "positive"), rows)
    print_line(describe_label_counts(found, _SHOWN))


def _print_quality(found: dict[str, Any]) -> None:
    from relforge.reports.report.quality_tables import (
        COMPARED,
        PREDICATE,
        compare_choices,
        describe_unknown_words,
        list_predicates,
    )

    header = (f"against {found['gold']:,} gold relations", *COMPARED)
    print_table(header, [_three_digits(row) for row in compare_choices(found)])
    print_line()
    print_table(PREDICATE, [_three_digits(row) for row in list_predicates(found)])
    if sentence := describe_unknown_words(found, _SHOWN):
        print_line(sentence)


def _print_trust(data: dict[str, Any]) -> None:
    from relforge.reports.report.quality_tables import COVERAGE, FATE, list_coverage, list_fates

    print_line()
    print_table(FATE, [_three_digits(row) for row in list_fates(data["fates"])])
    if found := data["reliability"]:
        print_line()
        print_table(COVERAGE, [_three_digits(row) for row in list_coverage(found)])
        print_line(f"expected calibration error {found['expected_calibration_error']:.3f}")


def _three_digits(row: tuple[object, ...]) -> list[object]:
    return [f"{value:.3f}" if isinstance(value, float) else value for value in row]
