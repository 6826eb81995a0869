"""SIGKILL of a driver anywhere, then the same command again: the data must come out the same.

The driver here runs the plain loop in a process of its own, which makes a kill cost a fraction of a
second, so that a long schedule fits into the test. test_ray.py kills workers, actors and drivers of Ray.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import forked
import pytest

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.status import status
from tests.fixtures.tiny import tiny_job

KILLS = 40
SEED = 20261121


@pytest.fixture
def status_of(start) -> Callable[..., int]:
    """`status_of(function, *args)` waits for the process and returns its exit status."""

    def status_of(*args) -> int:
        process = start(*args)
        process.join(120)
        return process.exitcode

    return status_of


def test_a_random_schedule_of_driver_kills_ends_in_the_same_data(ram, source, status_of):
    path = source(24, bad=(3, 9))
    options: dict[str, Any] = {"caption": {"dropped": [1], "quarantined": [7, 20]}}
    reference = run(tiny_job(ram / "reference", path, **options), executor="loop").dataset_hash
    random, log, kills, rounds = Random(SEED), ram / "kills.log", 0, 0
    while kills < KILLS:
        rounds += 1
        job = tiny_job(ram / f"run{rounds}", path, **options)
        while (ended := status_of(forked.drive_to_death, job, random.randint(1, 60), log)) != 0:
            assert ended == -signal.SIGKILL
            kills += 1
        final = run(job, executor="loop")
        assert final.outcome == Outcome.COMPLETE
        assert final.dataset_hash == reference
        assert not list(Path(job.folder).rglob("*.tmp"))

    killed = log.read_text().splitlines()
    assert len(killed) == kills
    for place in ("images", "boxes", "gold", "captions", "triplets", "candidates"):
        assert any(f"/{place}" in line for line in killed), f"the schedule never killed at {place}"


def test_a_kill_between_data_and_sidecar_costs_one_shard(ram, source, status_of):
    job = tiny_job(ram / "run", source(10))
    moment = ("renamed", "captions/part-00001.parquet", ram)

    assert status_of(forked.drive_to_death_at, job, *moment) == -signal.SIGKILL

    found = {stage.stage: stage for stage in status(job.folder).stages}
    assert found["caption"].problems[1] == "captions: the data has no sidecar"
    assert (found["caption"].done, found["caption"].broken) == (1, 1)
    assert found["match"].done == 1  # shard 0 had gone through all stages
    assert run(job, executor="loop").committed == {"ingest": 1, "caption": 2, "parse": 2, "match": 2}


def test_a_kill_between_the_last_shard_and_the_manifest_costs_nothing(ram, source, status_of):
    job = tiny_job(ram / "run", source(10))

    assert status_of(forked.drive_to_death_at, job, "rename", "ingest.json", ram) == -signal.SIGKILL

    assert status(job.folder).stages[0].total is None
    result = run(job, executor="loop")
    assert (result.outcome, result.committed) == (Outcome.COMPLETE, {})


def test_a_killed_rerun_leaves_old_or_new_output_and_the_run_command_repairs_it(ram, source, status_of):
    job = tiny_job(ram / "run", source(10))
    reference = run(job, executor="loop").dataset_hash
    for n in range(1, 40, 6):
        assert status_of(forked.redo_to_death, job, n, ram / "kills.log") == -signal.SIGKILL
        assert run(job, executor="loop").dataset_hash == reference


def test_two_drivers_at_once_end_in_the_same_data(ram, source, start):
    path = source(24)
    reference = run(tiny_job(ram / "reference", path), executor="loop").dataset_hash
    job = tiny_job(ram / "run", path, caption={"wait": 0.02})

    drivers = [start(forked.drive, job) for _ in range(2)]
    for driver in drivers:
        driver.join(120)

    assert [driver.exitcode for driver in drivers] == [0, 0]
    assert status(job.folder).dataset_hash == reference
    assert not list(Path(job.folder).rglob("*.tmp"))
