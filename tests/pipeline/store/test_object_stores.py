"""The same run on an object store: equal data, resume, and repair."""

from __future__ import annotations

import pytest

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.rerun import rerun
from relforge.pipeline.run.status import status
from relforge.pipeline.store.run_folder import RunFolder
from tests.fixtures.tiny import tiny_job


@pytest.fixture(params=["memory", "s3"])
def place(request, tmp_path) -> str:
    if request.param == "memory":
        return f"memory://{tmp_path.name}/run"
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


def test_a_run_on_an_object_store_equals_a_local_one_resumes_and_repairs_damage(tmp_path, source, place):
    path = source(8)
    local = run(tiny_job(tmp_path / "run", path), executor="loop")

    there = run(tiny_job(place, path), executor="loop")

    assert there.outcome == Outcome.COMPLETE
    assert there.dataset_hash == local.dataset_hash

    folder = RunFolder(place)
    folder.storage.delete(folder.sidecar_path("captions", 0))
    folder.storage.write(folder.data_path("triplets", 1), b"PAR1 cut off")

    found = {stage.stage: stage.broken for stage in status(place).stages}
    assert found == {"ingest": 0, "caption": 1, "parse": 1, "match": 0}
    repaired = run(tiny_job(place, path), executor="loop")
    assert repaired.dataset_hash == local.dataset_hash
    assert repaired.committed == {"caption": 1, "parse": 1}


def test_rerun_works_by_uri(tmp_path, source):
    place = f"memory://{tmp_path.name}/run"
    run(tiny_job(place, source(8)), executor="loop")

    assert rerun(place, "parse", shards=[1], allow_code=True, executor="loop").committed == {"parse": 1}
