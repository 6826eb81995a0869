"""A report's facts, read from a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import duckdb
import numpy as np

from relforge.evaluation.label_codes import NO_CLASS, LabelCodes, encode_labels, with_classes
from relforge.evaluation.label_fates import count_fates
from relforge.evaluation.label_points import KEYS, Labels
from relforge.evaluation.label_quality import assess_labels
from relforge.evaluation.label_reliability import assess_reliability
from relforge.pipeline.run.answered import answered_rows, list_answered
from relforge.pipeline.run.emptiness import find_refusal, find_warnings
from relforge.pipeline.run.losses import find_excess
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.run_folder import RunFolder
from relforge.reports.datasets import Datasets, open_datasets
from relforge.reports.query import connect, select
from relforge.reports.report.agreement import find_agreement
from relforge.reports.report.coverage import find_coverage
from relforge.reports.report.funnel import Step, count_rows, sum_accounts
from relforge.reports.report.label_counts import find_label_counts
from relforge.reports.report.proposals import find_proposals
from relforge.reports.report.rounds import find_rounds
from relforge.stages.select.stage import DEFAULT_THRESHOLD

SHOWN = ("relations", "scores", "proposed", "candidates")
"""Tables that may be described, the furthest of a run first."""
_MAX_COUNTED = 40
_BINS = 20


def gather(run: str) -> dict[str, Any]:
    """Everything in the report as plain values.

    Returns:
        `run`, `dataset`, `profile`, `complete`, `stopped` and `warnings` (as `status` has them), `survival`
        (rows by table), `steps` (every loss by reason),
        `shown` (the table described), `predicates` and `pairs` (most frequent), `coverage` (`find_coverage`),
        `image_labels` (`find_label_counts`), `agreement` with people (`find_agreement`), `rounds` (of a
        second round: agreement with the first, `find_rounds`), `proposals` (`find_proposals`),
        `answered` (what stages that ask models were answered, and what it cost; `answered_rows`: as a table),
        `histogram` of scores (None where nothing is scored), `gold` (how many relations of the source, 0
        without any) and `quality` (None where there is no gold, or nothing yet that is compared with it),
        `reliability` (`assess_reliability`) and `fates` of gold relations (`count_fates`), None likewise.

    Raises:
        RunError: not a run folder.
    """
    folder = RunFolder(run)
    plan = load_plan(folder)
    survey = Survey(folder, plan)
    steps = [_step(survey, one.name, one.outputs) for one in plan.steps]
    datasets, _ = open_datasets(run)
    connection = connect(datasets, direct=True)
    options: Mapping[str, Any] = next((one.options for one in plan.job.stages if one.name == "select"), {})
    shown = next((name for name in SHOWN if name in datasets), "candidates")
    described = shown in datasets and "boxes" in datasets
    gold = datasets["gold"].count_rows() if "gold" in datasets else 0
    comparable = _labels(datasets, options)
    labels = comparable if gold else None
    pairs: list[dict[str, Any]] = []
    if labels is not None:
        labels = encode_labels(connection, labels)
        pairs = count_pairs(connection, labels.kept, labels.boxes, _MAX_COUNTED)
    elif described:
        codes = LabelCodes(connection, [shown], "boxes")
        rows = codes.number(shown, ", 1 AS times")
        pairs = count_pairs(connection, rows, codes.write_boxes("coded_boxes", "boxes"), _MAX_COUNTED)
    learned = options.get("quality") == "learned"  # then the option is of the quality, not of the score
    chosen = None if learned else options.get("threshold")
    threshold = DEFAULT_THRESHOLD if chosen is None else float(chosen)
    answered = list_answered(folder, survey)
    return {
        "run": run,
        "dataset": plan.job.dataset,
        "profile": plan.job.profile,
        "complete": survey.complete,
        "stopped": find_excess(folder, survey) or find_refusal(survey),
        "warnings": find_warnings(survey),
        "survival": count_rows(steps),
        "steps": [{**asdict(one), "lost": one.lost} for one in steps],
        "shown": shown,
        "predicates": count_values(connection, shown, ("predicate",), _MAX_COUNTED) if described else [],
        "pairs": pairs,
        "coverage": find_coverage(connection, datasets, plan, survey),
        "image_labels": find_label_counts(connection, datasets, plan),
        "agreement": find_agreement(connection, datasets),
        "rounds": find_rounds(connection, datasets, plan, survey),
        "proposals": find_proposals(connection, datasets),
        "answered": [asdict(one) for one in answered],
        "answered_rows": answered_rows(answered),
        "histogram": histogram(connection, _with_score("scores", options)) if "scores" in datasets else None,
        "gold": gold,
        "quality": None if labels is None else _assess(connection, labels, threshold, learned),
        "reliability": None if labels is None else assess_reliability(connection, labels),
        "fates": count_fates(connection, labels) if labels else {} if comparable else None,
    }


def _step(survey: Survey, stage: str, outputs: tuple[str, ...]) -> Step:
    return sum_accounts(
        stage,
        {
            table: [one.sidecar for one in survey.entries[table].values() if one.sidecar and not one.problem]
            for table in outputs
        },
    )


def _assess(
    connection: duckdb.DuckDBPyConnection, labels: Labels, threshold: float, learned: bool
) -> dict[str, Any] | None:
    found = assess_labels(connection, labels, threshold)
    return None if found is None else found | {"chosen_by": "quality" if learned else "score"}


def _labels(datasets: Datasets, options: Mapping[str, Any]) -> Labels | None:
    """The tables that quality is of; None where one of them is not there yet."""
    if not {"scores", "gold", "relations", "boxes"} <= set(datasets):
        return None
    kept = _with_score("relations", options)
    if "quality" in datasets["relations"].schema.names:
        kept = f"(SELECT {KEYS}, quality AS score FROM relations)"
    nothing = f"(SELECT {KEYS} FROM scores WHERE false)"
    return Labels(
        candidates="candidates" if "candidates" in datasets else nothing,
        scored=_with_score("scores", options),
        kept=kept,
        gold="gold",
        confidence=kept,
        grounded=next((name for name in ("proposed", "grounded") if name in datasets), None),
    )


def _with_score(table: str, options: Mapping[str, Any]) -> str:
    """Pair columns and the score that the run selected by."""
    score = "score"
    if options.get("confidence") == "product":
        score += " * coalesce(subject_score, 1) * coalesce(object_score, 1)"
    return f"(SELECT {KEYS}, ({score})::FLOAT AS score FROM {table})"


def count_values(
    connection: duckdb.DuckDBPyConnection, rows: str, keys: tuple[str, ...], limit: int
) -> list[dict[str, Any]]:
    """The most frequent values.

    Args:
        rows: a table or sub-query that has the columns `keys`.
        keys: what to count by, e.g. `("subject_class", "predicate", "object_class")`.
        limit: rows returned.

    Returns:
        rows with the keys and `count`, most frequent first, ties by name.
    """
    names = ", ".join(keys)
    sql = f"SELECT {names}, count(*)::BIGINT AS count FROM {rows} GROUP BY ALL ORDER BY count DESC, {names}"
    return select(connection, f"{sql} LIMIT {limit}").to_pylist()


def count_pairs(
    connection: duckdb.DuckDBPyConnection, rows: str, boxes: str, limit: int
) -> list[dict[str, Any]]:
    """The most frequent classes of related boxes, as `count_values` gives them; a box that is not there has
    an empty one.

    Args:
        rows: relations of `LabelCodes` with `times`.
        boxes: of the same.
    """
    classes = ", ".join(f"coalesce({end}, {NO_CLASS}) AS {end}_class" for end in ("subject", "object"))
    sql = f"""SELECT {classes}, sum(times)::BIGINT AS count FROM {with_classes(rows, boxes)} GROUP BY 1, 2
        ORDER BY count DESC, subject_class, object_class LIMIT {limit}"""
    return select(connection, sql).to_pylist()


def histogram(connection: duckdb.DuckDBPyConnection, rows: str, bins: int = _BINS) -> list[int]:
    """How many scores fall into each of equal bins from 0 to 1; 1 belongs to the last.

    Args:
        rows: a table or sub-query that has `score`.
    """
    found = np.zeros(bins, np.int64)
    with connection.sql(f"SELECT score FROM {rows}").to_arrow_reader() as batches:
        for batch in batches:
            found += np.histogram(batch["score"].to_numpy(), bins=bins, range=(0.0, 1.0))[0]
    return [int(count) for count in found]
