"""Run a job, or finish one that was begun: the same call does both."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from relforge.pipeline.errors import (
    BrokenInvariant,
    ChangedInputs,
    DoesNotFit,
    Outcome,
    RunError,
    RunResult,
    StageFailed,
)
from relforge.pipeline.run.driver import Driver, living_drivers
from relforge.pipeline.run.emptiness import find_emptiness, find_refusal, find_warnings
from relforge.pipeline.run.findings import State
from relforge.pipeline.run.idle_gpu import describe_idle_gpu
from relforge.pipeline.run.interrupt import stop_on_signals
from relforge.pipeline.run.job import Job
from relforge.pipeline.run.loop import run_loop
from relforge.pipeline.run.losses import TooMuchLost, check_losses
from relforge.pipeline.run.marks import DRIVERS, find_damaged_marks
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.prepare import prepare
from relforge.pipeline.run.progress import (
    Monitor,
    Notice,
    Progress,
    Started,
    Watcher,
)
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.run.work import Work, to_complete
from relforge.pipeline.run.worker import SKIPPED, ShardReport
from relforge.pipeline.store.compaction import MIN_LOOSE, compact
from relforge.pipeline.store.file_hash import hash_file
from relforge.pipeline.store.run_folder import FAILED, RUNNING, STATE, RunFolder
from relforge.pipeline.store.storage import Storage

Executor = Literal["ray", "loop"]
_PASSES = 3
"""A damaged input found on the way is made again by another pass."""
_POLL_SECONDS = 1.0
_POLL_PAUSE = 9.0
"""Times the length of a look at the folder: listing a large one takes no more than a tenth of the time."""
_COMPACT_COMMITS = 20_000
"""Manifests are written in the middle of a run after so many commits, and then ever more rarely: a run that
is killed leaves so many sidecars to be read one by one."""
_AGAIN = "give the same command again"


def run(
    job: Job,
    *,
    executor: Executor = "ray",
    progress: Progress | None = None,
    accept_changes: bool = False,
    storage: Storage | None = None,
) -> RunResult:
    """Make everything of the job that is not done yet.

    Args:
        job: what to run.
        executor: `ray`, or `loop` for a plain loop in this process.
        progress: called with `Started`, `ShardDone` and `Notice`, always from this thread.
        accept_changes: continue although input files or the shard layout differ from those the folder was
            made from; all that depends on them is redone.
        storage: instead of the one `job.folder` names.

    Returns:
        how it ended; see `Outcome`.

    Raises:
        ChangedInputs, AnotherDriver, RunError: nothing was started, and the message names the fix.
        ValueError: an unknown backend, adapter or option.
    """
    folder = RunFolder(job.folder, storage)
    plan, notices = prepare(folder, job, accept_changes)
    if progress:
        for text in notices:
            progress(Notice(text))
    return drive(folder, plan, to_complete, executor, progress)


def drive(
    folder: RunFolder,
    plan: Plan,
    choose: Callable[[Survey], Work],
    executor: Executor,
    progress: Progress | None,
) -> RunResult:
    """Go over the work until it is done, and determine how it ended.

    Args:
        choose: the work, given the state of the folder; called again after each pass.
    """
    started = time.monotonic()
    monitor = Monitor(plan, folder, progress)

    def ended(
        outcome: Outcome, message: str, digest: str | None = None, warnings: tuple[str, ...] = ()
    ) -> RunResult:
        return RunResult(outcome, message, monitor.committed, digest, time.monotonic() - started, warnings)

    try:
        with stop_on_signals():
            survey, unfinished = _work_off(folder, plan, choose, executor, monitor)
        if unfinished is not None:
            return ended(Outcome.INCOMPLETE, unfinished)
        if monitor.committed:
            _check_unchanged(plan)
        _check_losses(folder, survey)
    except KeyboardInterrupt:
        return ended(Outcome.INCOMPLETE, "interrupted; the same command goes on from here")
    except (StageFailed, BrokenInvariant, TooMuchLost, ChangedInputs, DoesNotFit) as error:
        return ended(Outcome.FAILED, str(error))
    except RunError as error:
        return ended(Outcome.INCOMPLETE, str(error))
    digest = survey.dataset_hash() if survey.complete else None
    if refusal := find_refusal(survey):
        return ended(Outcome.FAILED, refusal, digest)
    return ended(Outcome.COMPLETE, _done(monitor, survey), digest, tuple(find_warnings(survey)))


def _work_off(
    folder: RunFolder,
    plan: Plan,
    choose: Callable[[Survey], Work],
    executor: Executor,
    monitor: Monitor,
) -> tuple[Survey, str | None]:
    """The folder's state at the end, and why it is not what it should be, if so."""
    survey = Survey(folder, plan, footers=True)
    work = choose(survey)
    if work.empty:
        _compact(folder, survey)
        return survey, None
    _invalidate_broken(folder, survey)
    with Driver(folder) as driver:
        _announce(folder, monitor, driver, survey, work)
        for _ in range(_PASSES):
            unfinished = _one_pass(folder, plan, work, executor, monitor, driver)
            survey = Survey(folder, plan)
            _invalidate_broken(folder, survey)
            _compact(folder, survey)
            if work.forced:  # a forced shard is done once, not in every pass
                return survey, _incomplete(unfinished, forced=True) if unfinished else None
            work = choose(survey)
            if work.empty:
                return survey, None
    return survey, _incomplete(unfinished)


def _compact(folder: RunFolder, survey: Survey) -> None:
    compact(folder, [table for table in survey.plan.tables if survey.loose(table) >= MIN_LOOSE])


def _invalidate_broken(folder: RunFolder, survey: Survey) -> None:
    """Delete the sidecars of shards whose files are damaged but look whole to a worker, which reads no output
    before it decides that a shard is done."""
    for step in survey.plan.steps:
        for shard in survey.with_state(step.name, State.BROKEN):
            read = {t: e.sidecar for t in step.outputs if (e := survey.entries[t].get(shard)) and e.sidecar}
            # anything else there by now is what another driver made of it
            if all(folder.sidecar(table, shard) == sidecar for table, sidecar in read.items()):
                for table in read:
                    folder.delete_sidecar(table, shard)


def _one_pass(
    folder: RunFolder, plan: Plan, work: Work, executor: Executor, monitor: Monitor, driver: Driver
) -> list[ShardReport]:
    watcher = Watcher(folder, plan)
    polled, pause = 0.0, _POLL_SECONDS
    commits, compacted = 0, _COMPACT_COMMITS

    def tick(now: bool = False) -> None:
        nonlocal polled, pause, commits, compacted
        begun = time.monotonic()
        if now or begun - polled > pause:
            for event in watcher.poll():
                commits += 1
                monitor.emit(event)
            monitor.check_stall()
            polled = time.monotonic()
            pause = max(_POLL_SECONDS, _POLL_PAUSE * (polled - begun))
        if commits >= compacted:
            compact(folder, plan.tables)
            compacted = commits + max(_COMPACT_COMMITS, commits // 4)

    try:
        if executor == "loop":
            return run_loop(plan, folder, work, tick)
        from relforge.pipeline.run.ray_stream import run_ray

        if idle := describe_idle_gpu(plan.job):
            monitor.emit(Notice(idle))
        return run_ray(plan, folder, work, driver, tick, lambda text: monitor.emit(Notice(text)))
    finally:
        tick(now=True)


def _announce(folder: RunFolder, monitor: Monitor, driver: Driver, survey: Survey, work: Work) -> None:
    for damaged in find_damaged_marks(folder):
        monitor.emit(Notice(damaged))
    others = [other for other in living_drivers(folder, forget_dead=True) if other.id != driver.id]
    if others:
        monitor.emit(
            Notice(
                f"another run works on this folder too ({others[0]}); "
                "that is safe, but both may do the same shard"
            )
        )
    else:
        for name in folder.storage.listing(RUNNING):
            folder.storage.delete(f"{RUNNING}/{name}")
        tables, quarantines = survey.plan.tables, [f"quarantine/{step.name}" for step in survey.plan.steps]
        sidecars = [STATE, *(f"{STATE}/{table}" for table in tables)]
        for place in (*tables, *sidecars, *quarantines, "", RUNNING, FAILED, DRIVERS):
            folder.storage.delete_orphans(place)
    reasons = work.reasons(survey)
    monitor.emit(Started({name: sum(counts.values()) for name, counts in reasons.items()}, survey.shards))


def _incomplete(unfinished: list[ShardReport], forced: bool = False) -> str:
    """Args:
    forced: one stage was to be redone, so what it reads was not made first.
    """
    if not unfinished:
        return f"some shards are not done; {_AGAIN}"
    first = unfinished[0]
    more = f" and {len(unfinished) - 1} more" if len(unfinished) > 1 else ""
    fix = "`relforge run` makes what it reads" if forced and first.state == SKIPPED else _AGAIN
    return f"stage {first.stage!r}, shard {first.shard}{more} could not be made ({first.detail}); {fix}"


def _done(monitor: Monitor, survey: Survey) -> str:
    made = sum(monitor.committed.values())
    empty = ", with an empty result" if survey.complete and find_emptiness(survey) else ""
    if not made and survey.shards != 0:
        return f"everything is done already{empty}" if survey.complete else "nothing to do"
    if survey.complete:
        return f"complete{empty}: {survey.shards} shards, {made} commits in this run"
    return f"done: {made} commits; `relforge status` shows what became stale"


def _check_losses(folder: RunFolder, survey: Survey) -> None:
    for step in survey.plan.steps:
        check_losses(folder, step, survey.sums(step).losses, survey.plan.job.limits)


def _check_unchanged(plan: Plan) -> None:
    for step in plan.steps:
        for path, value in step.files.items():
            if hash_file(path, value).sha256 != value.sha256:
                raise ChangedInputs(
                    f"{path} (read by {step.name}) changed while the run was going on, so its output may be "
                    "mixed; put the old file back or redo the stage with `relforge rerun`"
                )
