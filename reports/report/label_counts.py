"""Labels of whole images: how often each interaction is positive, and which never are."""

from __future__ import annotations

from typing import Any

import duckdb

from relforge.pipeline.run.plan import Plan
from relforge.reports.datasets import Datasets
from relforge.reports.query import select
from relforge.stages.interactions import HICO600, InteractionsError, read_interactions


def find_label_counts(
    connection: duckdb.DuckDBPyConnection, datasets: Datasets, plan: Plan
) -> dict[str, Any] | None:
    """Counts of the table `image_labels`.

    Returns:
        None where the run labels no images; else `interactions` (how many there are), `positive` (rows of
        `label` and `count`, most frequent first), `without` (labels that no image has), `states` (rows of
        `state`, `reason`, `count`), and `problem`: why the table of interactions cannot be read any more.
    """
    spec = next((one for one in plan.job.stages if one.name == "image_labels"), None)
    if spec is None or "image_labels" not in datasets:
        return None
    counted = "SELECT label, count(*)::BIGINT AS count FROM image_labels WHERE state = 1 GROUP BY 1"
    states = "SELECT state, reason, count(*)::BIGINT AS count FROM image_labels GROUP BY 1, 2"
    found: dict[str, Any] = {
        "interactions": 0,
        "positive": select(connection, f"{counted} ORDER BY 2 DESC, 1").to_pylist(),
        "without": [],
        "states": select(connection, f"{states} ORDER BY 3 DESC, 1, 2").to_pylist(),
        "problem": None,
    }
    try:
        table = read_interactions(spec.options.get("interactions", HICO600))
    except InteractionsError as error:
        return found | {"problem": str(error)}
    shown = {row["label"] for row in found["positive"]}
    missing = [" ".join(pair) for pair in table if " ".join(pair) not in shown]
    return found | {"interactions": len(table), "without": missing}


def describe_label_counts(found: dict[str, Any], limit: int) -> str:
    """The sentence on interactions that no image shows; at most `limit` are named."""
    if found["problem"]:
        return f"the table of interactions cannot be read: {found['problem']}"
    missing, count = found["without"], found["interactions"]
    if not missing:
        return f"each of the {count:,} interactions has a positive image"
    named = ", ".join(missing[:limit]) + (", ..." if len(missing) > limit else "")
    return f"{len(missing):,} of {count:,} interactions have no positive image: {named}"
