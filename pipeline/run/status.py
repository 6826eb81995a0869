"""How far a run is, from the folder alone: without driver, Ray or model."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from relforge.pipeline.run.answered import Answered, list_answered
from relforge.pipeline.run.driver import living_drivers
from relforge.pipeline.run.emptiness import find_refusal, find_warnings
from relforge.pipeline.run.findings import State
from relforge.pipeline.run.losses import find_excess
from relforge.pipeline.run.marks import WAITING, Waiting, find_damaged_marks, try_mark
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.run_folder import FAILED, RUNNING, RunFolder

_RATE_WINDOW_SECONDS = 600.0


@dataclass(frozen=True)
class StageStatus:
    """One line of the table.

    Args:
        stage: its name.
        total: shards of the dataset; None until ingest has reached its end.
        done, running, stale, broken, missing: shards in that state; they add up to those known.
        failed: shards whose last attempt raised (they are also missing, stale or broken).
        rows_in, rows_out: of the done shards; rows_out of the stage's first table.
        dropped, quarantined: records by reason, of the done shards.
        shards_per_minute: over the last ten minutes of this stage's commits; None while no driver lives.
        seconds_left: at that rate; None when unknown.
        problems: shard -> reason, for stale and broken shards.
        waits_for: earlier stage -> how many shards of this one cannot begin before that stage has made them.
        reads_on: whether ingest has not reached the end of its source yet, so that more shards may come.
    """

    stage: str
    total: int | None
    done: int
    running: int
    stale: int
    broken: int
    missing: int
    failed: int
    rows_in: int
    rows_out: int
    dropped: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    shards_per_minute: float | None = None
    seconds_left: float | None = None
    problems: dict[int, str] = field(default_factory=dict)
    waits_for: dict[str, int] = field(default_factory=dict)
    reads_on: bool = False


@dataclass(frozen=True)
class RunStatus:
    """The table, and what holds for the run as a whole.

    Args:
        folder, dataset, profile: of the run.
        complete: every shard of every stage is done.
        dataset_hash: hash over all data when complete.
        drivers: living drivers, as `pid on host`.
        stages: ingest first.
        stopped: why the run failed though its shards are done: too much was lost, or the result is empty and
            may not be.
        waits: what the cluster of a living driver does not have yet; one sentence each.
        answered: what stages that ask models were answered, and what it cost.
        warnings: what the user needs to be told of a complete run, and damaged files under `logs`; one
            sentence each.
    """

    folder: str
    dataset: str
    profile: str
    complete: bool
    dataset_hash: str | None
    drivers: list[str]
    stages: list[StageStatus]
    stopped: str | None = None
    waits: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)


def status(uri: str, *, verify: bool = False) -> RunStatus:
    """The state of a run folder.

    Args:
        uri: the run folder.
        verify: also read every data file and compare it with its sidecar's hash; finds flipped bits, and
            takes as long as reading everything does.

    Raises:
        RunError: not a run folder.
    """
    folder = RunFolder(uri)
    plan = load_plan(folder)
    survey = Survey(folder, plan, verify=verify)
    drivers = living_drivers(folder)
    begun = set(folder.storage.listing(RUNNING)) if drivers else set()
    failures = set(folder.storage.listing(FAILED))
    stages = [_stage(survey, step.name, begun, failures, bool(drivers)) for step in plan.steps]
    return RunStatus(
        folder=folder.uri,
        dataset=plan.job.dataset,
        profile=plan.job.profile,
        complete=survey.complete,
        dataset_hash=survey.dataset_hash() if survey.complete else None,
        drivers=[f"{driver.pid} on {driver.host}" for driver in drivers],
        stages=stages,
        stopped=find_excess(folder, survey) or find_refusal(survey),
        waits=_waits(folder, {driver.id for driver in drivers}),
        warnings=[*find_warnings(survey), *find_damaged_marks(folder)],
        answered=list_answered(folder, survey),
    )


def _waits(folder: RunFolder, drivers: set[str]) -> list[str]:
    mark = try_mark(folder, WAITING, Waiting)
    return mark["waits"] if mark and mark["driver"] in drivers else []


def _stage(survey: Survey, name: str, begun: set[str], failures: set[str], alive: bool) -> StageStatus:
    step, findings = survey.plan.step(name), survey.findings(name)
    states, known = findings.count(), survey.indices
    running = [s for s in _shards(begun, name) if s in known and findings[s].state != State.DONE]
    for shard in running:
        states[findings[shard].state] -= 1
        states[State.RUNNING] += 1
    since = time.time() - _RATE_WINDOW_SECONDS
    sums = survey.sums(step)
    rate = _rate([when for when in survey.finished(step).tolist() if when > since]) if alive else None
    left = len(known) - states[State.DONE]
    failed = [shard for shard in _shards(failures, name) if findings[shard].state != State.DONE]
    return StageStatus(
        stage=name,
        total=survey.shards,
        done=states[State.DONE],
        running=states[State.RUNNING],
        stale=states[State.STALE],
        broken=states[State.BROKEN],
        missing=states[State.MISSING],
        failed=len(failed),
        rows_in=sums.rows_in,
        rows_out=sums.rows_out,
        dropped=dict(sorted(sums.dropped.items())),
        quarantined=dict(sorted(sums.quarantined.items())),
        shards_per_minute=rate,
        seconds_left=left / rate * 60 if rate and survey.shards is not None else None,
        problems=findings.problems(),
        waits_for=_waits_for(survey, name, running),
        reads_on=survey.shards is None,
    )


def _waits_for(survey: Survey, name: str, running: list[int]) -> dict[str, int]:
    """Parent -> undone shards of the stage, none of them running, that it has to make first."""
    waits = ~survey.findings(name).done
    waits[running] = False
    parents = survey.plan.parents(survey.plan.step(name))
    found = {parent.name: int((waits & ~survey.findings(parent.name).done).sum()) for parent in parents}
    return {parent: count for parent, count in found.items() if count}


def _shards(names: set[str], stage: str) -> set[int]:
    stems = (name.removesuffix(".json").rpartition("-") for name in names)
    return {int(number) for stem, _, number in stems if stem == stage and number.isdigit()}


def _rate(finished: list[float]) -> float | None:
    """Commits per minute."""
    if len(finished) < 2 or (span := max(finished) - min(finished)) <= 0:
        return None
    return (len(finished) - 1) / span * 60
