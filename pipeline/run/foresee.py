"""What the stages of a run will ask of models they pay for, before anything is asked."""

from __future__ import annotations

from typing import Any

from relforge.pipeline.run.job import Job
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.counts import ROWS_OUT
from relforge.pipeline.store.run_folder import RunFolder
from relforge.stages.answers.foresight import Foreseen


def foresee(job: Job) -> dict[str, Foreseen | None]:
    """Stage -> requests, tokens and cost of the whole run; None where they depend on tables not made yet.

    Images and boxes are counted in the run folder, or, before a run, in the annotation, which is read for it;
    other tables where they are complete. Answers that are kept already are not taken off.

    Raises:
        RunError, ValueError: what `run` would raise before it starts.
    """
    stages = {spec.name: job.build_stage(spec.name) for spec in job.stages}
    asking: dict[str, Any] = {name: one for name, one in stages.items() if hasattr(one, "foresee")}
    if not asking:
        return {}
    plan = make_plan(job)
    survey = Survey(RunFolder(job.folder), plan)
    rows: dict[str, int] = {}
    for step in plan.steps:
        if survey.shards is not None and not survey.undone(step.name):
            rows |= {table: survey.counts(step, table)[ROWS_OUT] for table in step.outputs}
    if "images" not in rows:
        read = dict.fromkeys(("images", "boxes"), 0)
        for shard in job.build_source().shards(job.shard_images):
            read = {table: count + shard.tables[table].num_rows for table, count in read.items()}
        rows |= read
    return {name: one.foresee(rows) for name, one in asking.items()}
