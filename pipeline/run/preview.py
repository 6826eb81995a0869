"""What a run would do, without doing any of it."""

from __future__ import annotations

from dataclasses import dataclass

from relforge.pipeline.run.execute import changed_inputs, check_folder, known_hashes
from relforge.pipeline.run.job import Job
from relforge.pipeline.run.plan import Plan, make_plan
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.run.work import to_complete
from relforge.pipeline.store.run_folder import RunFolder
from relforge.pipeline.store.storage import Storage


@dataclass(frozen=True)
class Preview:
    """Answer of `preview`.

    Args:
        new: the folder holds no run yet.
        total: shards of the dataset; None until ingest has seen its end.
        steps: all steps in order.
        todo: step -> state (`missing`, `stale`, `broken`) -> shards to make, as far as known; a step that
            is absent has nothing to do.
        surplus: True when more shards may come to light, because ingest has to read the source.
        changes: what changed behind the config's back; `run` refuses these unless they are accepted.
    """

    new: bool
    total: int | None
    steps: tuple[str, ...]
    todo: dict[str, dict[str, int]]
    surplus: bool
    changes: tuple[str, ...]


def preview(job: Job, storage: Storage | None = None) -> Preview:
    """Compare a job with its folder.

    Raises:
        RunError, ValueError: what `run` would raise before it starts.
    """
    folder = RunFolder(job.folder, storage)
    before = check_folder(folder)
    plan = make_plan(job, known_hashes(before))
    survey = Survey(folder, plan)
    work = to_complete(survey)
    return Preview(
        new=before is None,
        total=survey.shards,
        steps=tuple(step.name for step in plan.steps),
        todo=work.reasons(survey),
        surplus=work.shards is None,
        changes=tuple(changed_inputs(Plan.from_record(before), plan)) if before else (),
    )
