"""Runs on a cluster of several nodes on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Resources
from relforge.pipeline.run.status import status
from tests.fixtures.tiny import tiny_job

pytestmark = pytest.mark.slow  # nodes of their own

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
        [sys.executable, "-c", DRIVER, tmp_path / "job.json"], capture_output=True, text=True, timeout=240
    )

    assert ended.returncode == Outcome.COMPLETE, ended.stdout + ended.stderr
    reference = run(tiny_job(tmp_path / "loop", path), executor="loop")
    assert status(job.folder).dataset_hash == reference.dataset_hash
