"""Redo one stage for chosen shards. What is there stays in place until its successor commits."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from relforge.pipeline.errors import RunError, RunResult
from relforge.pipeline.run.execute import Executor, drive
from relforge.pipeline.run.foreign_code import list_foreign_code
from relforge.pipeline.run.job import INGEST
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.run.prepare import prepare
from relforge.pipeline.run.progress import Notice, Progress
from relforge.pipeline.run.references import resolve_references
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.run.work import Work
from relforge.pipeline.store.run_folder import FAILED, RunFolder
from relforge.pipeline.store.storage import Storage


def rerun(
    uri: str,
    stage: str,
    *,
    shards: Sequence[int] | None = None,
    failed: bool = False,
    quarantined: bool = False,
    downstream: bool = False,
    executor: Executor = "ray",
    progress: Progress | None = None,
    accept_changes: bool = False,
    allow_code: bool = False,
    storage: Storage | None = None,
) -> RunResult:
    """Redo a stage of a run, with the configuration recorded in its folder.

    The three choices of shards add up; with none of them, every shard is redone. Quarantined records are
    tried again by redoing the shards that hold them: stages treat images independently, so the others
    come out as before.

    Args:
        uri: the run folder.
        stage: a stage name, or `ingest`.
        shards: indices.
        failed: shards whose last attempt raised.
        quarantined: shards with quarantined records of this stage.
        downstream: also bring up to date what descends from the stage, in these shards. Without it,
            descendants whose input changed show as stale.
        accept_changes: as for `run`.
        allow_code: run code that the folder names and that does not come with relforge.

    Raises:
        RunError: not a run folder, no such stage or shard, its input is not there yet, or it names
            foreign code.
    """
    folder = RunFolder(uri, storage)
    job = load_plan(folder).job
    if not allow_code and (named := list_foreign_code(job)):
        raise RunError(
            f"{uri}: run.json names code that does not come with relforge ({named[0]}); nothing was run; "
            "if you trust this run folder, add --allow-code"
        )
    plan, _ = prepare(folder, resolve_references(job, os.environ), accept_changes)
    plan.step(stage)
    survey = Survey(folder, plan)
    chosen = _chosen(survey, folder, stage, shards, failed, quarantined)
    descendants = plan.descendants(stage) if downstream else ()
    if stage == INGEST and not downstream:
        steps: tuple[str, ...] = (INGEST,)
    else:
        steps = (stage, *descendants)
    if not chosen:
        steps = ()

    if progress:
        progress(Notice(describe_rerun(survey, stage, chosen, downstream)))

    def choose(_: Survey) -> Work:
        return Work(steps, tuple(sorted(chosen)), {stage: frozenset(chosen)})

    return drive(folder, plan, choose, executor, progress)


def describe_rerun(survey: Survey, stage: str, shards: Collection[int], downstream: bool) -> str:
    """What a rerun will do, in one sentence: which shards, how many rows, what becomes of its descendants.

    Descendants go by content: one whose input comes out in the same bytes is done as it is.
    """
    if not shards:
        return f"no shard of {stage} is chosen: nothing to redo"
    step = survey.plan.step(stage)
    accounts = survey.sidecars(step)
    rows = sum(accounts[shard].rows_in for shard in shards if shard in accounts)
    read = step.inputs[0] if step.inputs else "records"
    known = f", {rows:,} rows of {read}" if rows else ""
    sentence = f"redoes {stage} in {len(shards)} of {len(survey.indices)} shards ({_ranges(shards)}){known}"
    after = ", ".join(survey.plan.descendants(stage))
    if not after:
        return sentence
    if downstream:
        return f"{sentence}; then {after}, in those shards where what they read comes out different"
    left = "not redone, and stale where what they read comes out different (--downstream)"
    return f"{sentence}; {after}: {left}"


def _ranges(numbers: Collection[int]) -> str:
    """[0, 1, 2, 5] -> `0-2, 5`; at most six of them."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in found[:6]]
    return ", ".join([*shown, "..."] if len(found) > 6 else shown)


def _chosen(
    survey: Survey,
    folder: RunFolder,
    stage: str,
    shards: Sequence[int] | None,
    failed: bool,
    quarantined: bool,
) -> set[int]:
    step = survey.plan.step(stage)
    if shards is None and not failed and not quarantined:
        return set(survey.indices)
    chosen = set(shards or ())
    survey.check_known(chosen, folder.uri)
    if failed:
        chosen |= set(folder.numbers(FAILED, stage)) & set(survey.indices)
    if quarantined:
        entries = survey.entries[step.outputs[0]]
        chosen |= {shard for shard, entry in entries.items() if entry.sidecar and entry.sidecar.quarantined}
    return chosen
