"""Classes that nothing in the captions names, said after a run, with a synonym table drafted for them."""

from __future__ import annotations

from typing import Any

from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.run_folder import RunFolder
from relforge.reports.classes import read_listed_classes
from relforge.reports.datasets import open_datasets
from relforge.reports.query import connect
from relforge.reports.report.coverage import find_coverage
from relforge.stages.match.draft import draft_table
from relforge.stages.match.vocabulary import BUILT_IN, load

DRAFT = "synonyms.draft.yaml"
"""In the run folder. Nothing reads it; one that is there may be edited, and stays."""
_SHOWN = 12


def find_unnamed_classes(run: str) -> list[dict[str, Any]]:
    """Classes that no table knows and that no caption of the run named, most boxes first.

    Returns:
        rows of `category` and `boxes`; none where the run does not match by `boundary`.
    """
    folder = RunFolder(run)
    plan = load_plan(folder)
    datasets, _ = open_datasets(run)
    found = find_coverage(connect(datasets, direct=True), datasets, plan, Survey(folder, plan))
    return [row for row in (found or {}).get("unknown", ()) if row["boxes"] and not row["named"]]


def draft_for(run: str) -> str | None:
    """A sentence that names the classes, and where their draft is; None where captions name them all.

    The draft is written once: what a user makes of it is not written over.
    """
    rows = find_unnamed_classes(run)
    if not rows:
        return None
    storage = RunFolder(run).storage
    try:
        storage.read(DRAFT)
    except FileNotFoundError:
        datasets, _ = open_datasets(run)
        classes = read_listed_classes(connect(datasets, direct=True), datasets)
        text = draft_table(classes, load(BUILT_IN), run, list(BUILT_IN))
        storage.write(DRAFT, text.encode("utf-8", "replace"))
    named = ", ".join(f"{row['category']} ({row['boxes']:,} boxes)" for row in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return (
        f"no caption names {len(rows):,} of the classes, so they have no relations: {named}{more}. "
        f"A table to fill in is in {run.rstrip('/')}/{DRAFT}, as `relforge synonyms` drafts it: write what "
        "captions call them, name the file in stages.match.synonyms, and run again; captions are kept"
    )
