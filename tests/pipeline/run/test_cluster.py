"""Runs on a cluster of several nodes on this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Resources
from relforge.pipeline.run.status import status
from relforge.pipeline.store.run_folder import RunFolder
from tests.fixtures.contents import read_contents
from tests.fixtures.nodes import Nodes
from tests.fixtures.tiny import tiny_job

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(1800)]  # nodes of their own

DRIVER = """
import json, os, sys
from ray.cluster_utils import Cluster
import ray
cluster = Cluster()
for _ in range(2):
    cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
ray.init(address=cluster.address, log_to_driver=False)
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job
result = run(Job.from_dict(json.load(open(sys.argv[1]))))
print(result.message)
ray.shutdown()
cluster.shutdown()
sys.exit(result.outcome)
"""


def test_two_nodes_of_one_cpu_with_an_actor_each_do_not_wait_for_ever(tmp_path: Path, source) -> None:
    """Ingest asked for a whole CPU, which the actors left on neither node."""
    path = source(24, bad=(3,))
    job = tiny_job(tmp_path / "run", path, caption_resources=Resources(actors=2))
    (tmp_path / "job.json").write_text(json.dumps(job.to_dict()))

    ended = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path / "job.json")],
        capture_output=True,
        text=True,
        timeout=900,
    )

    assert ended.returncode == Outcome.COMPLETE, ended.stdout + ended.stderr
    reference = run(tiny_job(tmp_path / "loop", path), executor="loop")
    assert status(job.folder).dataset_hash == reference.dataset_hash


LOSING = """
import glob, json, os, subprocess, sys, time
from ray.cluster_utils import Cluster
job = json.load(open(sys.argv[1]))
cluster = Cluster()
cluster.add_node(num_cpus=2, object_store_memory=80 << 20)
graphics = dict(num_cpus=1, num_gpus=1, object_store_memory=80 << 20)
lost = cluster.add_node(**graphics)
driver = '''
import json, sys
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job
result = run(Job.from_dict(json.load(open(sys.argv[1]))))
print(result.message)
sys.exit(result.outcome)
'''
environment = dict(os.environ, RAY_ADDRESS=cluster.address)
run = subprocess.Popen([sys.executable, "-c", driver, sys.argv[1]], env=environment)
captions = job["folder"] + "/_state/captions/*.json"
while len(glob.glob(captions)) < 2 and run.poll() is None:
    time.sleep(0.05)
cluster.remove_node(lost, allow_graceful=False)
print("lost after", len(glob.glob(captions)), flush=True)
time.sleep(2)
cluster.add_node(**graphics)
code = run.wait()
cluster.shutdown()
sys.exit(code)
"""


def test_the_only_gpu_node_is_lost_and_another_joins(tmp_path: Path, source) -> None:
    path = source(48, bad=(3,))
    gpu = Resources(actors=1, num_gpus=1, num_cpus=0.5)
    job = tiny_job(tmp_path / "run", path, caption={"wait": 0.5}, caption_resources=gpu)
    (tmp_path / "job.json").write_text(json.dumps(job.to_dict()))

    command = [sys.executable, "-c", LOSING, str(tmp_path / "job.json")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900)

    assert ended.returncode == Outcome.COMPLETE, ended.stdout + ended.stderr
    assert "lost after" in ended.stdout
    reference = run(tiny_job(tmp_path / "loop", path), executor="loop")
    assert status(job.folder).dataset_hash == reference.dataset_hash


def test_the_head_and_a_node_are_lost_of_clusters_whose_run_folder_is_on_s3(
    tmp_path: Path, source, bucket: str
) -> None:
    path = source(48, bad=(3,))
    actor = Resources(actors=1, num_cpus=0.5)
    caption = {"wait": 0.5, "quarantined": [7]}
    place = f"{bucket}/{tmp_path.name}"
    job = tiny_job(place, path, caption=caption, caption_resources=actor)
    folder = RunFolder(place)

    with Nodes(workers=2, cpus=1) as nodes:
        driver = nodes.drive(job, tmp_path)
        wait_until(driver, lambda: len(folder.indices("captions")) >= 2)
        nodes.lose_head()
        said, errors = driver.communicate(timeout=900)

        # one sentence, and the exit status of a run that is not done
        assert driver.returncode == Outcome.INCOMPLETE, errors
        assert said.startswith("the head of the Ray cluster (")
        assert said.endswith("is gone; what was committed is safe, give the same command again "
                             "when there is a cluster\n")  # fmt: skip
        assert "Traceback" not in errors
        done = len(folder.indices("captions"))
        assert done < 12

        assert nodes.repair()
        driver = nodes.drive(job, tmp_path)
        wait_until(driver, lambda: len(folder.indices("captions")) >= min(done + 2, 11))
        nodes.lose_worker()
        said, errors = driver.communicate(timeout=900)

    assert driver.returncode == Outcome.COMPLETE, said + errors
    run(tiny_job(tmp_path / "loop", path, caption=caption), executor="loop")
    assert read_contents(place) == read_contents(str(tmp_path / "loop"))


def wait_until(driver: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 900
    while not reached():
        if driver.poll() is not None or time.monotonic() > deadline:
            driver.send_signal(signal.SIGINT)
            pytest.fail(f"the run ended, or came nowhere: {driver.communicate(timeout=300)}")
        time.sleep(0.1)
