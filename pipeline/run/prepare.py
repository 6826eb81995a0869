"""A job and its run folder before a run: whether it may run there, what changed, what it would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relforge.pipeline.errors import AnotherDriver, ChangedInputs, RunError
from relforge.pipeline.run.driver import living_drivers
from relforge.pipeline.run.job import Job
from relforge.pipeline.run.plan import Plan, make_plan, read_plan
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.run.work import to_complete
from relforge.pipeline.store.file_hash import FileHash
from relforge.pipeline.store.run_folder import INGEST_MANIFEST, RUN_FILE, RunFolder


def prepare(folder: RunFolder, job: Job, accept_changes: bool = False) -> tuple[Plan, list[str]]:
    """Make the plan of `job` and write it into the folder, if it may take over what is there.

    Returns:
        the plan, and sentences: what stages announce, and changed options that redo nothing.

    Raises:
        ChangedInputs, AnotherDriver, RunError: the folder is as it was, and the message names the fix.
    """
    record = check_folder(folder)
    before = None if record is None else read_plan(folder, record)
    plan = make_plan(job, _known_hashes(before))
    if before and (changes := changed_inputs(before, plan)) and not accept_changes:
        raise ChangedInputs(
            f"{changes[0]} since {folder.uri} was begun; choose a new run folder, or accept "
            "the change and redo what depends on it with --accept-changes"
        )
    if plan.to_record() != record:
        if before and before.steps != plan.steps and (others := living_drivers(folder)):
            raise AnotherDriver(
                f"a run with another configuration works on {folder.uri} ({others[0]}); "
                "wait for it, stop it, or choose another run folder"
            )
        folder.write_json(RUN_FILE, plan.to_record(), private=bool(job.secrets))
    told = [f"stage {spec.name!r}: {text}" for spec in job.stages if (text := _announced(job, spec.name))]
    return plan, told + (changed_neutral_options(before, plan) if before else [])


def _announced(job: Job, stage: str) -> str:
    """What a stage wants said before it works, such as where images go."""
    return str(getattr(job.build_stage(stage), "announcement", ""))


def check_folder(folder: RunFolder) -> Mapping[str, Any] | None:
    """`run.json`, or None for a new folder; RunError for a folder that holds something else.

    A folder whose run.json was deleted, since it was damaged, is taken up again: its manifest is there.
    """
    record = folder.read_json(RUN_FILE)
    files = folder.storage.listing("") if record is None else {}
    if files and INGEST_MANIFEST not in files:
        raise RunError(f"{folder.uri} holds files but is not a run folder; choose an empty or new one")
    return record


def _known_hashes(before: Plan | None) -> dict[str, FileHash]:
    """path -> hash, of all files an earlier plan names."""
    return {path: value for step in (before.steps if before else ()) for path, value in step.files.items()}


def changed_inputs(before: Plan, now: Plan) -> list[str]:
    """Changes that need consent: files that differ under the same path, and the shard layout."""
    changes = []
    for step in now.steps:
        old = next((s for s in before.steps if s.name == step.name), None)
        for path, value in step.files.items():
            if old and path in old.files and old.files[path].sha256 != value.sha256:
                changes.append(f"{path} (read by {step.name}) changed")
    if before.job.shard_images != now.job.shard_images:
        changes.append(f"shard_images changed from {before.job.shard_images} to {now.job.shard_images}")
    return changes


def changed_neutral_options(before: Plan, now: Plan) -> list[str]:
    """A sentence for each option that differs while the key of its stage does not."""
    changes = []
    shown = Job.from_dict(now.job.to_dict())  # without secrets
    for spec in shown.stages:
        old = next((one for one in before.job.stages if one.name == spec.name), None)
        if not old or before.step(spec.name).key != now.step(spec.name).key:
            continue
        for name in sorted({*old.options, *spec.options}):
            was, value = old.options.get(name), spec.options.get(name)
            if was != value:
                changes.append(
                    f"stage {spec.name!r}: {name} is now {value!r} (was {was!r}), which redoes nothing"
                )
    return changes


@dataclass(frozen=True)
class Preview:
    """What a run would do.

    Args:
        new: the folder holds no run yet.
        total: shards of the dataset; None until ingest has reached its end.
        steps: all steps in order.
        todo: step -> state (`missing`, `stale`, `broken`) -> shards to make, as far as known; a step that
            is absent has nothing to do.
        surplus: True when more shards may come to light, because ingest has to read the source.
        changes: files and layout that changed under the same config; `run` refuses these unless they are
            accepted.
    """

    new: bool
    total: int | None
    steps: tuple[str, ...]
    todo: dict[str, dict[str, int]]
    surplus: bool
    changes: tuple[str, ...]


def preview(job: Job) -> Preview:
    """Compare a job with its folder, without changing anything.

    Raises:
        RunError, ValueError: what `run` would raise before it starts.
    """
    folder = RunFolder(job.folder)
    record = check_folder(folder)
    before = None if record is None else read_plan(folder, record)
    plan = make_plan(job, _known_hashes(before))
    survey = Survey(folder, plan)
    work = to_complete(survey)
    return Preview(
        new=before is None,
        total=survey.shards,
        steps=tuple(step.name for step in plan.steps),
        todo=work.reasons(survey),
        surplus=work.shards is None,
        changes=tuple(changed_inputs(before, plan)) if before else (),
    )
