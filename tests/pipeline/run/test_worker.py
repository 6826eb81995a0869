"""One shard of one stage, and its errors."""

from __future__ import annotations

import errno
import hashlib
import json
from dataclasses import replace

import pytest
from shims import FailFrom

from relforge.pipeline.errors import StageFailed, StorageError
from relforge.pipeline.run.ingest import ingest
from relforge.pipeline.run.job import Limits
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.worker import COMMITTED, KEPT, RETRIES_EXHAUSTED, SKIPPED, ShardWorker, begin
from relforge.pipeline.store.local_storage import LocalStorage
from relforge.pipeline.store.run_folder import RunFolder
from tests.fixtures.tiny import tiny_job


@pytest.fixture
def ready(tmp_path, source):
    """`ready(**job options)` -> (plan, folder) with ingest done: shards 0, 1 and 2."""

    def make(**options):
        plan = make_plan(tiny_job(tmp_path / "run", source(10), **options))
        folder = RunFolder(tmp_path / "run")
        list(ingest(plan, folder))
        return plan, folder

    return make


def test_a_done_shard_is_not_made_again_unless_forced(ready):
    plan, folder = ready()
    assert ShardWorker(plan, "caption", folder).run(0).state == COMMITTED
    assert ShardWorker(plan, "caption", folder).run(0).state == KEPT
    assert ShardWorker(plan, "caption", folder, frozenset([0])).run(0).state == COMMITTED


def test_a_shard_without_input_is_skipped(ready):
    plan, folder = ready()
    report = ShardWorker(plan, "parse", folder).run(1)
    assert report.state == SKIPPED
    assert report.detail == "table 'captions' has no committed shard 1"


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b[:40] + bytes([b[40] ^ 1]) + b[41:]])
def test_a_damaged_input_is_noticed_and_no_longer_counts_as_committed(ready, damage):
    plan, folder = ready()
    ShardWorker(plan, "caption", folder).run(0)
    path = folder.data_path("captions", 0)
    folder.storage.write(path, damage(folder.storage.read(path)))

    report = ShardWorker(plan, "parse", folder).run(0)

    assert report.state == SKIPPED
    assert "is broken" in report.detail
    assert folder.survey("captions")[0].problem == "the data has no sidecar"


def test_an_input_of_another_schema_is_noticed(ready):
    plan, folder = ready()
    ShardWorker(plan, "caption", folder).run(0)
    sidecar = folder.sidecar("captions", 0)
    foreign = folder.storage.read(folder.data_path("boxes", 0))
    folder.storage.write(folder.data_path("captions", 0), foreign)
    disguised = replace(sidecar, size=len(foreign), sha256=hashlib.sha256(foreign).hexdigest())
    folder.storage.write(folder.sidecar_path("captions", 0), disguised.to_bytes())

    assert "its columns are" in ShardWorker(plan, "parse", folder).run(0).detail


def test_an_exception_is_written_down_with_the_record_that_caused_it(ready):
    plan, folder = ready(caption={"raising": [6]})

    with pytest.raises(StageFailed, match=r"stage 'caption' failed on shard 1, image 00006 \(KeyError"):
        ShardWorker(plan, "caption", folder).run(1)

    failure = json.loads(folder.storage.read("logs/failed/caption-00001.json"))
    assert failure["record"]["image_id"] == "00006"
    assert failure["record"]["rows"][0]["dataset"] == "tiny"
    assert 'raise KeyError(f"no word for image' in failure["traceback"]
    assert folder.storage.listing("captions") == {}
    assert folder.storage.listing("logs/running") == {}


def test_a_success_removes_the_record_of_the_failure(ready, tmp_path):
    plan, folder = ready(caption={"raising": [6]})
    with pytest.raises(StageFailed):
        ShardWorker(plan, "caption", folder).run(1)

    plan, folder = ready()
    ShardWorker(plan, "caption", folder).run(1)

    assert folder.storage.listing("logs/failed") == {}


def test_a_transient_error_is_tried_again(ready, tmp_path, monkeypatch):
    monkeypatch.setattr("relforge.pipeline.run.worker.time.sleep", lambda seconds: None)
    plan, _ = ready()
    shaky = RunFolder("", LocalStorage(tmp_path / "run", FailFrom(errno.EIO, "captions/", times=2)))

    assert ShardWorker(plan, "caption", shaky).run(0).state == COMMITTED
    sidecar = shaky.sidecar("captions", 0)
    assert sidecar
    assert sidecar.attempt == 3


def test_an_error_that_stays_gives_up_the_shard_and_not_the_run(ready, tmp_path, monkeypatch):
    monkeypatch.setattr("relforge.pipeline.run.worker.time.sleep", lambda seconds: None)
    plan, _ = ready()
    dead = RunFolder("", LocalStorage(tmp_path / "run", FailFrom(errno.EIO, "captions/")))

    report = ShardWorker(plan, "caption", dead).run(0)

    assert report.state == RETRIES_EXHAUSTED
    assert "4 times in a row" in report.detail
    again = ShardWorker(plan, "caption", dead).run(0)  # not mistaken for a shard that kills its workers
    assert again.state == RETRIES_EXHAUSTED


def test_a_full_disk_is_not_tried_again(ready, tmp_path):
    plan, _ = ready()
    full = RunFolder("", LocalStorage(tmp_path / "run", FailFrom(errno.ENOSPC, "captions/")))

    with pytest.raises(StorageError, match="the disk is full; free some space"):
        ShardWorker(plan, "caption", full).run(0)


def test_a_shard_that_kills_its_worker_every_time_is_given_up(ready):
    plan, folder = ready(limits=Limits(retries=2))
    for _ in range(3):
        begin(plan, folder, "caption", 0)  # each of them died before it could finish

    with pytest.raises(StageFailed, match="lost its worker 3 times on shard 0"):
        ShardWorker(plan, "caption", folder).run(0)
