"""The same job on Ray: equal data, streaming, other environments, and death of every kind of process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shims import KillOnce

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Limits, Resources
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.progress import Event, ShardDone
from relforge.pipeline.run.status import status
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.local_storage import LocalStorage
from relforge.pipeline.store.run_folder import RunFolder
from tests.fixtures.tiny import tiny_job

pytestmark = pytest.mark.usefixtures("ray_here")
ACTORS = Resources(actors=1, num_cpus=0.5)
DRIVER = """
import json, sys
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job
result = run(Job.from_dict(json.load(open(sys.argv[1]))))
print(result.message)
sys.exit(result.outcome)
"""


def reference(folder: Path, path: Path, **options) -> str | None:
    return run(tiny_job(folder / "reference", path, **options), executor="loop").dataset_hash


def test_ray_makes_what_the_loop_makes_and_streams_through_an_actor_pool(ram, source):
    path = source(24, bad=(3,))
    job = tiny_job(ram / "run", path, caption={"wait": 0.3}, caption_resources=ACTORS)
    events: list[Event] = []

    result = run(job, progress=events.append)

    assert result.outcome == Outcome.COMPLETE
    assert result.dataset_hash == reference(ram, path)
    assert sorted({e.stage for e in events if isinstance(e, ShardDone)}) == [
        "caption",
        "ingest",
        "match",
        "parse",
    ]
    folder = RunFolder(job.folder)
    accounts = {s.name: Survey(folder, make_plan(job)).sidecars(s) for s in make_plan(job).steps}
    first_parsed = min(account.finished for account in accounts["parse"].values())
    last_captioned = max(account.finished for account in accounts["caption"].values())
    assert first_parsed < last_captioned, "a shard is parsed while others are still being captioned"
    assert run(job).message == "everything is done already"


@pytest.mark.slow
@pytest.mark.alone
def test_killed_workers_and_actors_cost_an_attempt_and_change_nothing(ram, source):
    """Mid-write, between data and sidecar, and right after the sidecar; in ingest, actors and tasks."""
    path = source(24, bad=(3,))
    kills = (
        "boxes/part-00001.parquet",
        "captions/part-00000.parquet",
        "_state/captions/part-00003.json",
        "triplets/part-00002.parquet",
        "candidates/part-00004.parquet",
        "_state/candidates/part-00005.json",
    )
    job = tiny_job(ram / "run", path, caption_resources=ACTORS)
    killing = LocalStorage(job.folder, KillOnce("renamed", kills, ram))

    result = run(job, storage=killing)

    assert len(list(ram.glob("killed-*"))) == len(kills)
    assert result.outcome == Outcome.COMPLETE
    assert result.dataset_hash == reference(ram, path)
    sidecar = RunFolder(job.folder).sidecar("captions", 0)
    assert sidecar
    assert sidecar.attempt == 2


@pytest.mark.slow
@pytest.mark.alone
def test_a_worker_killed_in_the_middle_of_a_batch_changes_nothing(ram, source):
    path, pids = source(12), ram / "pids"
    pids.mkdir()
    job = tiny_job(
        ram / "run",
        path,
        caption={"wait": 1.0, "note_pid": str(pids)},
        parse={"wait": 1.0, "note_pid": str(pids)},
        caption_resources=ACTORS,
    )
    killed = []

    def kill(event):
        for stage in ("caption", "parse"):
            begun = sorted(pids.glob(f"{stage}-00004-*"))
            if begun and stage not in killed and not RunFolder(job.folder).sidecar(f"{stage}s", 1):
                killed.append(stage)
                os.kill(int(begun[0].name.split("-")[-1]), signal.SIGKILL)

    result = run(job, progress=kill)

    assert "caption" in killed or "parse" in killed
    assert result.outcome == Outcome.COMPLETE
    assert result.dataset_hash == reference(ram, path)


@pytest.mark.slow
@pytest.mark.alone
def test_killed_drivers_leave_a_folder_that_the_same_command_finishes(ram, source):
    """The driver joins the Ray of this test by RAY_ADDRESS, as a job on a cluster does."""
    path = source(24)
    job = tiny_job(ram / "run", path, caption={"wait": 0.4}, caption_resources=ACTORS)
    for progress in (
        "_state/images/part-00001.json",
        "_state/captions/part-00002.json",
        "_state/candidates/part-00003.json",
    ):
        driver = launch(job, ram, cluster=True)
        wait_for(Path(job.folder) / progress)
        driver.kill()
        driver.wait()
        assert not status(job.folder).complete

    assert run(job).dataset_hash == reference(ram, path)


@pytest.mark.slow
@pytest.mark.alone
def test_ctrl_c_twice_ends_a_local_ray_and_its_processes(ram, source):
    job = tiny_job(ram / "run", source(40), caption={"wait": 1.0}, caption_resources=ACTORS)
    driver = launch(job, ram, cluster=False)
    wait_for(Path(job.folder) / "_state/captions/part-00000.json")
    children = descendants(driver.pid)
    assert children

    driver.send_signal(signal.SIGINT)
    time.sleep(0.2)
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate(timeout=300)

    assert driver.returncode == Outcome.INCOMPLETE
    assert "Traceback" not in errors
    deadline = time.monotonic() + 200
    while survivors(children) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [Path(f"/proc/{pid}/cmdline").read_text() for pid in survivors(children)] == []
    assert list(Path(job.folder).rglob("part-*.json"))


@pytest.mark.slow
@pytest.mark.alone
def test_a_local_ray_that_dies_ends_the_run_in_one_sentence(ram, source):
    """Ray would end the driver with a status of its own, and no word, once its head has given the node up."""
    path = source(24)
    job = tiny_job(ram / "run", path, caption={"wait": 0.5}, caption_resources=ACTORS)
    driver = launch(job, ram, cluster=False)
    wait_for(Path(job.folder) / "_state/captions/part-00001.json")
    children = descendants(driver.pid)
    raylets = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == "raylet\n"]

    os.kill(raylets[0], signal.SIGKILL)
    said, errors = driver.communicate(timeout=300)

    assert driver.returncode == Outcome.INCOMPLETE, errors
    assert said.startswith("Ray on this machine died (out of memory, or killed)")
    assert "Traceback" not in errors
    assert run(job).dataset_hash == reference(ram, path)


@pytest.mark.slow
@pytest.mark.alone
def test_a_programming_error_ends_the_run_with_its_record(ram, source):
    job = tiny_job(ram / "run", source(12), caption={"raising": [6]}, caption_resources=ACTORS)

    result = run(job)

    assert result.outcome == Outcome.FAILED
    assert "stage 'caption' failed on shard 1, image 00006 (KeyError" in result.message


@pytest.mark.slow
@pytest.mark.alone
def test_too_many_quarantined_records_stop_a_run_that_has_far_to_go(ram, source):
    everything = list(range(20_000))
    job = tiny_job(
        ram / "run",
        source(20_000),
        caption={"quarantined": everything, "wait": 0.3},
        shard_images=500,
        limits=Limits(quarantine_rate=0.05),
    )

    result = run(job)

    assert result.outcome == Outcome.FAILED
    assert "stage 'caption' lost" in result.message
    assert result.committed["caption"] < 40


@pytest.mark.slow
@pytest.mark.alone
def test_a_stage_runs_in_the_python_it_names(ram, source):
    """A throw-away environment: another interpreter, with a module that ours does not have."""
    environment = ram / "old-pins"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    packages = next((environment / "lib").glob("python*/site-packages"))
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "ours.pth").write_text("\n".join(ours))
    (packages / "only_there.py").write_text("WORD = 'greetings'\n")
    python = str(environment / "bin" / "python")
    job = tiny_job(
        ram / "run",
        source(8),
        caption={"word_from": "only_there"},
        caption_resources=Resources(num_cpus=0.5, py_executable=python),
    )

    result = run(job)

    assert result.outcome == Outcome.COMPLETE, result.message
    folder = RunFolder(job.folder)
    sidecar = folder.sidecar("captions", 0)
    assert sidecar
    captions = folder.read_table("captions", 0, sidecar)
    assert captions["text"][0].as_py() == "greetings of 00000"


def launch(job, folder: Path, cluster: bool) -> subprocess.Popen:
    """A driver as a process of its own."""
    import ray

    spec = folder / "job.json"
    spec.write_text(json.dumps(job.to_dict()))
    environment = dict(os.environ)
    environment.pop("RAY_ADDRESS", None)
    if cluster:
        environment["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(spec)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 400
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never appeared"
        time.sleep(0.02)


def process_table() -> dict[int, tuple[int, str]]:
    """pid -> (parent, start time) of every process that is still alive."""
    table = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if after_name[0] != "Z":
            table[int(stat.parent.name)] = (int(after_name[1]), after_name[19])
    return table


def descendants(pid: int) -> dict[int, str]:
    """Children, grandchildren, ... -> their start time, since a later process may have the same id."""
    table = process_table()
    found: dict[int, str] = {}
    frontier = {pid}
    while frontier:
        frontier = {child for child, (parent, _) in table.items() if parent in frontier}
        found.update({child: table[child][1] for child in frontier})
    return found


def survivors(processes: dict[int, str]) -> list[int]:
    table = process_table()
    return [pid for pid, start in processes.items() if table.get(pid, (0, ""))[1] == start]
