"""A run as a Ray job, on a cluster that does not have relforge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from ray_head import Cluster, cluster

from relforge.pipeline.run.status import status

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # a Ray head of its own

SHARDS = 6
WAIT = 1.0
"""Seconds the caption stage takes per shard, so that there is a middle in which to kill it."""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


LONG = 48
"""Shards of the job that is to be killed: the client alone takes seconds to report it."""


@pytest.fixture
def config(tmp_path: Path, source) -> Path:
    """Six shards of two images; half a CPU per task, so that stages run side by side on two."""
    return write_config(tmp_path, source, SHARDS)


@pytest.fixture
def long_config(tmp_path: Path, source) -> Path:
    """The same with enough shards to have a middle."""
    return write_config(tmp_path, source, LONG)


def write_config(tmp_path: Path, source, shards: int) -> Path:
    small = {"num_cpus": 0.5}
    values = {
        "dataset": {
            "name": "tiny",
            "split": "train",
            "format": "tiny:TinySource",
            "path": str(source(images=2 * shards)),
        },
        "run": {"folder": str(tmp_path / "run"), "shard_images": 2},
        "stages": {
            "caption": {"backend": "tiny:TinyCaption", "wait": WAIT, "resources": small},
            "parse": {"backend": "tiny:TinyParse", "resources": small},
        },
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def submit(head: Cluster, *arguments: object, token: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`relforge submit --address ...` in a process of its own, with the cluster's token."""
    environment = {**os.environ, "RAY_AUTH_TOKEN_PATH": str(token or head.token)}
    for name in ("RAY_AUTH_MODE", "RAY_ADDRESS", "RAY_AUTH_TOKEN"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "relforge", "submit", "--address", head.address, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)


def test_a_killed_job_is_finished_by_submitting_it_again(head, long_config, tmp_path) -> None:
    absent = subprocess.run([head.python, "-c", "import relforge"], cwd=tmp_path, capture_output=True)
    assert absent.returncode == 1, "the cluster's Python must not have relforge"

    # given a job that was accepted and has done part of its work
    accepted = submit(head, long_config, "--detach", "--json")
    assert accepted.returncode == 0, accepted.stderr
    job = json.loads(accepted.stdout)["job"]
    again = submit(head, long_config, "--detach", "--json")
    assert json.loads(again.stdout)["job"] == job  # the same command finds the job that runs
    part = tmp_path / "run" / "_state" / "captions" / "part-00001.json"
    deadline = time.monotonic() + 400
    while not part.exists() and time.monotonic() < deadline:
        time.sleep(0.1)

    # when it is killed
    stop(head, job)
    assert submit(head, "--attach", job).returncode == 2
    committed = part.stat().st_mtime_ns
    assert not status(str(tmp_path / "run")).complete

    # then the same command completes it, and what was done stays
    finished = submit(head, long_config)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"complete: {LONG} shards" in finished.stdout  # the job's own log
    assert status(str(tmp_path / "run")).complete
    assert part.stat().st_mtime_ns == committed


def test_a_config_error_on_the_cluster_comes_back_as_64(head, config, source, tmp_path) -> None:
    (tmp_path / "source.json").unlink()

    said = submit(head, config)

    assert said.returncode == 64
    assert "dataset.path: no such file or folder" in said.stdout


def test_a_wrong_token_is_one_sentence(head, config, tmp_path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("f" * 32)

    said = submit(head, config, token=wrong)

    assert said.returncode == 64
    assert "refuses the token; set RAY_AUTH_TOKEN" in said.stderr
    assert "Traceback" not in said.stderr


def stop(head: Cluster, job: str) -> None:
    """Kill the job the way `ray job stop` does."""
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(head.token)}
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "stop", "--address", head.address, job]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)


def test_two_submissions_at_the_same_moment_make_one_job(head, config, tmp_path) -> None:
    with ThreadPoolExecutor(2) as both:
        said = list(both.map(lambda _: submit(head, config, "--detach", "--json"), range(2)))

    assert [one.returncode for one in said] == [0, 0], said[0].stderr + said[1].stderr
    first, second = (json.loads(one.stdout)["job"] for one in said)
    assert first == second
    assert submit(head, "--attach", first).returncode == 0
    again = submit(head, config, "--json")
    assert json.loads(again.stdout)["job"] != first  # it ended, so this is another
