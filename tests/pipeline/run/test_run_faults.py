"""What a run reports and does when storage, input, stages or other drivers fail (plain loop)."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import forked
import pytest
from shims import FailFrom

from relforge.pipeline.errors import AnotherDriver, ChangedInputs, Outcome, RunError, StorageError
from relforge.pipeline.run.driver import Driver, living_drivers
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.failure import failures
from relforge.pipeline.run.job import Limits
from relforge.pipeline.run.prepare import preview
from relforge.pipeline.run.progress import Event, Notice, ShardDone, Started
from relforge.pipeline.run.status import status
from relforge.pipeline.store.local_storage import LocalStorage
from relforge.pipeline.store.run_folder import RunFolder
from tests.fixtures.tiny import tiny_job

# --- storage


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("part", ["gold/", "triplets/"])
def test_a_refusing_disk_ends_the_run_in_one_sentence_and_the_same_command_goes_on(
    tmp_path, source, number, part
):
    path = source(10)
    reference = run(tiny_job(tmp_path / "reference", path), executor="loop").dataset_hash
    job = tiny_job(tmp_path / "run", path)

    refused = run(job, executor="loop", storage=LocalStorage(job.folder, FailFrom(number, part, n=12)))

    assert refused.outcome == Outcome.INCOMPLETE
    assert re.match(rf"cannot write {job.folder}/(_state/)?{part}part-0000", refused.message)
    assert not list(Path(job.folder).rglob("*.tmp"))
    assert run(job, executor="loop").dataset_hash == reference


def test_a_read_only_place_is_refused_before_anything_starts(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))

    with pytest.raises(StorageError, match="the file system is read-only"):
        run(job, executor="loop", storage=LocalStorage(job.folder, FailFrom(errno.EROFS)))


def test_a_missing_run_folder_is_named(tmp_path, source):
    with pytest.raises(RunError, match="is not a run folder"):
        status(str(tmp_path / "was-here-yesterday"))


def test_a_folder_that_holds_something_else_is_not_taken(tmp_path, source):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter1.tex").write_text("...")

    with pytest.raises(RunError, match="holds files but is not a run folder"):
        run(tiny_job(tmp_path / "thesis", source(4)), executor="loop")


def test_every_kind_of_damage_at_once_is_repaired_by_the_same_command(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(24))
    reference = run(job, executor="loop").dataset_hash
    folder = Path(job.folder)
    cut = folder / "images/part-00000.parquet"
    cut.write_bytes(cut.read_bytes()[:-30])
    (folder / "_state/captions/part-00001.json").unlink()
    (folder / "triplets/part-00002.parquet").unlink()
    (folder / "_state/candidates/part-00003.json").write_text("{")
    (folder / "boxes/part-00004.parquet").unlink()
    (folder / "_state/captions/.part-00005.json.elsewhere-1-00000000.tmp").write_text("stale")

    assert run(job, executor="loop").dataset_hash == reference


def test_a_flipped_bit_upstream_is_found_on_reading_and_repaired_in_the_same_run(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))
    reference = run(job, executor="loop").dataset_hash
    flipped = Path(job.folder) / "captions/part-00001.parquet"
    data = bytearray(flipped.read_bytes())
    data[30] ^= 1
    flipped.write_bytes(bytes(data))
    (Path(job.folder) / "_state/triplets/part-00001.json").unlink()  # so that the captions are read again

    result = run(job, executor="loop")

    assert (result.outcome, result.dataset_hash) == (Outcome.COMPLETE, reference)
    assert result.committed == {"caption": 1, "parse": 1}


# --- input


def test_input_edited_under_the_same_path_is_refused_until_accepted(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))
    run(job, executor="loop")
    before = (tmp_path / "run/run.json").read_bytes()
    source(9)

    with pytest.raises(
        ChangedInputs, match=r"source\.json \(read by ingest\) changed since .*--accept-changes"
    ):
        run(job, executor="loop")
    assert (tmp_path / "run/run.json").read_bytes() == before
    assert preview(job).changes[0].endswith("source.json (read by ingest) changed")

    result = run(job, executor="loop", accept_changes=True)
    fresh = run(tiny_job(tmp_path / "fresh", job.source.options["path"]), executor="loop")
    assert result.dataset_hash == fresh.dataset_hash


def test_a_shorter_dataset_leaves_no_surplus_shards(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))
    run(job, executor="loop")
    source(4)

    run(job, executor="loop", accept_changes=True)

    left = (tmp_path / "run").glob("**/candidates/*")
    assert sorted(path.name for path in left) == ["part-00000.json", "part-00000.parquet"]


def test_another_shard_size_is_refused_until_accepted(tmp_path, source):
    path = source(10)
    run(tiny_job(tmp_path / "run", path), executor="loop")

    with pytest.raises(ChangedInputs, match="shard_images changed from 4 to 5"):
        run(tiny_job(tmp_path / "run", path, shard_images=5), executor="loop")


def test_a_moved_input_file_is_the_same_input(tmp_path, source):
    first = source(10)
    run(tiny_job(tmp_path / "run", first), executor="loop")
    moved = source(10, name="moved.json")
    first.unlink()

    assert run(tiny_job(tmp_path / "run", moved), executor="loop").committed == {}


def test_a_file_that_changes_while_it_is_used_is_noticed_at_the_end(tmp_path, source):
    words = tmp_path / "words.txt"
    words.write_text("one")
    job = tiny_job(tmp_path / "run", source(10), caption={"dictionary": str(words)})

    def edit(event):
        if isinstance(event, ShardDone):
            words.write_text("two")

    result = run(job, executor="loop", progress=edit)

    assert result.outcome == Outcome.FAILED
    assert "words.txt (read by caption) changed while the run was going on" in result.message


@pytest.mark.parametrize("executor", ["loop", "ray"])
def test_a_source_without_any_shard_completes_with_a_warning(request, tmp_path, source, executor):
    if executor == "ray":
        request.getfixturevalue("ray_here")
    result = run(tiny_job(tmp_path / "run", source(0)), executor=executor)
    assert result.outcome == Outcome.COMPLETE
    assert result.message == "complete, with an empty result: 0 shards, 0 commits in this run"
    assert result.warnings[0].startswith("the result is empty: stage 'ingest' found no images in the source")


# --- stages


def test_a_programming_error_stops_the_run_and_is_on_record(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10), caption={"raising": [6]})

    result = run(job, executor="loop")

    assert result.outcome == Outcome.FAILED
    assert (
        "stage 'caption' failed on shard 1, image 00006 (KeyError: 'no word for image 00006')"
        in result.message
    )
    assert (failures(job.folder)[0]["record"] or {})["image_id"] == "00006"
    assert {s.stage: s.failed for s in status(job.folder).stages}["caption"] == 1


def test_a_source_that_raises_is_on_record_too(tmp_path, source):
    path = source(10)
    path.write_text("{")
    result = run(tiny_job(tmp_path / "run", path), executor="loop")
    assert result.outcome == Outcome.FAILED
    assert "stage 'ingest' failed on shard 0 (JSONDecodeError" in result.message


def test_too_many_quarantined_records_fail_the_run_and_a_higher_limit_accepts_them(tmp_path, source):
    path = source(10)
    strict = Limits(quarantine_rate=0.05)
    job = tiny_job(tmp_path / "run", path, caption={"quarantined": [1, 2]}, limits=strict)

    result = run(job, executor="loop")
    assert result.outcome == Outcome.FAILED
    assert "stage 'caption' lost 2 of 10 images (20.0%), the limit is 5.0%" in result.message

    accepted = run(replace(job, limits=Limits(quarantine_rate=0.2)), executor="loop")
    assert (accepted.outcome, accepted.committed) == (Outcome.COMPLETE, {})


def test_an_outage_stops_the_run_long_before_its_end(tmp_path, source):
    strict = Limits(quarantine_rate=0.05)
    everything = list(range(6000))
    job = tiny_job(
        tmp_path / "run", source(6000), caption={"quarantined": everything}, limits=strict, shard_images=500
    )
    job = replace(job, limits=strict)

    def impatient(event):
        time.sleep(0)

    result = run(job, executor="loop", progress=impatient)

    assert result.outcome == Outcome.FAILED
    assert result.committed["caption"] < 12


def test_a_stall_names_the_stage_and_the_shard(tmp_path, source):
    notices = []
    job = tiny_job(tmp_path / "run", source(8), caption={"wait": 1.2}, limits=Limits(0.5, stall_minutes=0.0))

    run(job, executor="loop", progress=lambda e: notices.append(e) if isinstance(e, Notice) else None)

    assert any("nothing was committed for 0 minutes" in notice.text for notice in notices)


# --- drivers


def test_a_second_driver_of_the_same_run_is_told(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))
    events: list[Event] = []
    with Driver(RunFolder(job.folder)):
        result = run(job, executor="loop", progress=events.append)

    assert result.outcome == Outcome.COMPLETE
    assert [e.text.split(" (")[0] for e in events if isinstance(e, Notice)] == [
        "another run works on this folder too"
    ]
    assert isinstance(next(e for e in events if not isinstance(e, Notice)), Started)


def test_a_second_driver_with_another_configuration_is_refused(tmp_path, source):
    path = source(10)
    run(tiny_job(tmp_path / "run", path), executor="loop")
    with (
        Driver(RunFolder(tmp_path / "run")),
        pytest.raises(AnotherDriver, match=f"process {os.getpid()} on"),
    ):
        run(tiny_job(tmp_path / "run", path, parse={"shout": True}), executor="loop")


def test_the_file_of_a_dead_driver_is_ignored_and_deleted(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))
    folder = RunFolder(job.folder)
    run(job, executor="loop")
    here = os.uname().nodename
    dead = {"host": here, "pid": 2**22 - 1, "started": time.time(), "beat": time.time()}
    long_gone = {"host": "elsewhere", "pid": 1, "started": 0.0, "beat": time.time() - 3600}
    folder.write_json("logs/drivers/dead.json", dead)
    folder.write_json("logs/drivers/gone.json", long_gone)
    folder.write_json("logs/running/caption-00001.json", {**dead, "attempt": 9})

    assert living_drivers(folder) == []
    events: list[Event] = []
    run(tiny_job(tmp_path / "run", job.source.options["path"], parse={"shout": True}), executor="loop",
        progress=events.append)  # fmt: skip
    assert not [e for e in events if isinstance(e, Notice)]
    assert folder.storage.listing("logs/running") == {}
    assert folder.storage.listing("logs/drivers") == {}


@pytest.mark.parametrize("skew", [-3600.0, -59.0, 59.0, 3600.0])
def test_a_driver_whose_clock_is_wrong_changes_no_byte(tmp_path, source, skew):
    path = source(10, bad=(3,))
    reference = run(tiny_job(tmp_path / "reference", path), executor="loop").dataset_hash
    job = tiny_job(tmp_path / "run", path)
    folder = RunFolder(job.folder)
    run(job, executor="loop")
    elsewhere = {"host": "elsewhere", "pid": 1, "started": 0.0, "beat": time.time() + skew}
    folder.write_json("logs/drivers/elsewhere.json", elsewhere)
    for place in ("captions", "triplets"):
        folder.delete_sidecar(place, 1)

    result = run(job, executor="loop")

    assert (result.outcome, result.dataset_hash) == (Outcome.COMPLETE, reference)


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_ctrl_c_once_or_twice_leaves_a_sound_folder_and_the_exit_status_incomplete(
    ram, source, start, signals
):
    path = source(40)
    reference = run(tiny_job(ram / "reference", path), executor="loop").dataset_hash
    job = tiny_job(ram / "run", path, caption={"wait": 0.3})
    driver = start(forked.drive_and_report, job, ram / "result.json")
    while not list((ram / "run").glob("_state/triplets/part-*.json")):
        time.sleep(0.05)

    for number in signals:
        os.kill(driver.pid, number)
    driver.join(60)

    assert driver.exitcode == Outcome.INCOMPLETE
    if len(signals) == 1:
        message = json.loads((ram / "result.json").read_text())
        assert message == "interrupted; the same command goes on from here"
        assert not list((ram / "run").rglob("*.tmp"))
    assert run(job, executor="loop").dataset_hash == reference
