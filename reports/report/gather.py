"""A report's facts, read from a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from relforge.evaluation.label_quality import assess_labels
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
from relforge.reports.report.rounds import find_rounds
from relforge.stages.tables import empty

_MAX_COUNTED = 40
_BINS = 20
_DEFAULT_THRESHOLD = 0.2
"""Of the select stage, where the config names none."""


def gather(run: str) -> dict[str, Any]:
    """Everything in the report as plain values.

    Returns:
        `run`, `dataset`, `profile`, `complete`, `stopped` and `warnings` (as `status` has them), `survival`
        (rows by table), `steps` (every loss by reason),
        `shown` (the table described), `predicates` and `pairs` (most frequent), `coverage` (`find_coverage`),
        `image_labels` (`find_label_counts`), `agreement` with people (`find_agreement`), `rounds` (of a
        second round: agreement with the first, `find_rounds`),
        `answered` (what stages that ask models were answered, and what it cost; `answered_rows`: as a table),
        `histogram` of scores (None where nothing is scored), `gold` (how many relations of the source, 0
        without any) and `quality` (None where there is no gold, or nothing yet that is compared with it).

    Raises:
        RunError: not a run folder.
    """
    folder = RunFolder(run)
    plan = load_plan(folder)
    survey = Survey(folder, plan)
    steps = [_step(survey, one.name, one.outputs) for one in plan.steps]
    datasets, _ = open_datasets(run)
    connection = connect(datasets)
    options: Mapping[str, Any] = next((one.options for one in plan.job.stages if one.name == "select"), {})
    shown = next((name for name in ("relations", "scores", "candidates") if name in datasets), "candidates")
    described = _paired(connection, datasets, shown, options)
    scored = _paired(connection, datasets, "scores", options) if "scores" in datasets else None
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
        "predicates": count_values(described, ("predicate",), _MAX_COUNTED),
        "pairs": count_values(described, ("subject_class", "object_class"), _MAX_COUNTED),
        "coverage": find_coverage(connection, datasets, plan, survey),
        "image_labels": find_label_counts(connection, datasets, plan),
        "agreement": find_agreement(connection, datasets),
        "rounds": find_rounds(connection, datasets, plan, survey),
        "answered": [asdict(one) for one in answered],
        "answered_rows": answered_rows(answered),
        "histogram": None if scored is None else histogram(scored["score"].to_numpy()),
        "gold": datasets["gold"].count_rows() if "gold" in datasets else 0,
        "quality": _quality(connection, datasets, scored, options),
    }


def _step(survey: Survey, stage: str, outputs: tuple[str, ...]) -> Step:
    return sum_accounts(
        stage,
        {
            table: [one.sidecar for one in survey.entries[table].values() if one.sidecar and not one.problem]
            for table in outputs
        },
    )


def _quality(
    connection: duckdb.DuckDBPyConnection,
    datasets: Datasets,
    scored: pa.Table | None,
    options: Mapping[str, Any],
) -> dict[str, Any] | None:
    if scored is None or "gold" not in datasets or "relations" not in datasets:
        return None
    gold = _paired(connection, datasets, "gold", options)
    if not gold.num_rows:
        return None
    candidates = _paired(connection, datasets, "candidates", options)
    kept = _paired(connection, datasets, "relations", options)
    boxes = select(connection, "SELECT image_id, category FROM boxes")
    return assess_labels(
        candidates, scored, kept, gold, boxes, float(options.get("threshold", _DEFAULT_THRESHOLD))
    )


def _paired(
    connection: duckdb.DuckDBPyConnection, datasets: Datasets, table: str, options: Mapping[str, Any]
) -> pa.Table:
    """Pair columns with the classes of both boxes, and the score that the run selected by."""
    if table not in datasets or "boxes" not in datasets:
        connection.register("none", empty("candidates"))
        return select(
            connection, "SELECT image_id, subject_box, object_box, predicate, "
            "'' AS subject_class, '' AS object_class FROM none"
        )  # fmt: skip
    score = ""
    if "score" in datasets[table].schema.names:
        score = "r.score"
        if options.get("confidence") == "product":
            score += " * coalesce(r.subject_score, 1) * coalesce(r.object_score, 1)"
        score = f", ({score})::FLOAT AS score"
    return select(
        connection,
        f"""SELECT r.image_id, r.subject_box, r.object_box, r.predicate,
            coalesce(s.category, '') AS subject_class, coalesce(o.category, '') AS object_class {score}
            FROM {table} r
            LEFT JOIN boxes s ON s.image_id = r.image_id AND s.box_id = r.subject_box
            LEFT JOIN boxes o ON o.image_id = r.image_id AND o.box_id = r.object_box
            ORDER BY 1, 2, 3, 4""",
    )


def count_values(rows: pa.Table, keys: tuple[str, ...], limit: int) -> list[dict[str, Any]]:
    """The most frequent values.

    Args:
        rows: has the columns `keys`.
        keys: what to count by, e.g. `("subject_class", "predicate", "object_class")`.
        limit: rows returned.

    Returns:
        rows with the keys and `count`, most frequent first, ties by name.
    """
    found = rows.group_by(list(keys)).aggregate([([], "count_all")])
    order = [("count_all", "descending"), *((key, "ascending") for key in keys)]
    return [
        {key: row[key] for key in keys} | {"count": row["count_all"]}
        for row in found.sort_by(order).slice(0, limit).to_pylist()
    ]


def histogram(scores: np.ndarray, bins: int = _BINS) -> list[int]:
    """How many scores fall into each of equal bins from 0 to 1; 1 belongs to the last."""
    found: list[int] = np.histogram(scores, bins=bins, range=(0.0, 1.0))[0].tolist()
    return found
