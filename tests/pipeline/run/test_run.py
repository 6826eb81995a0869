"""A whole run in a plain loop: it completes, resumes, and redoes what has to be redone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Resources
from relforge.pipeline.run.rerun import rerun
from relforge.pipeline.run.status import status
from relforge.pipeline.store.run_folder import RunFolder
from tests.fixtures.tiny import tiny_job


def test_a_run_makes_every_table_and_says_complete(tmp_path, source):
    result = run(tiny_job(tmp_path / "run", source(10)), executor="loop")

    assert result.outcome == Outcome.COMPLETE
    assert result.committed == {"ingest": 3, "caption": 3, "parse": 3, "match": 3}
    for table in ("images", "boxes", "gold", "captions", "triplets", "candidates"):
        assert len(list((tmp_path / "run" / table).glob("part-*.parquet"))) == 3
    parts = sorted((tmp_path / "run" / "candidates").glob("*.parquet"))
    assert pq.read_table(parts)["image_id"].to_pylist() == [f"{i:05d}" for i in range(10)]


def test_the_same_command_again_does_nothing_and_says_so(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))
    first = run(job, executor="loop")
    before = {path: path.stat().st_mtime_ns for path in Path(job.folder).rglob("part-*")}

    second = run(job, executor="loop")

    assert second.message == "everything is done already"
    assert second.committed == {}
    assert second.dataset_hash == first.dataset_hash
    assert {path: path.stat().st_mtime_ns for path in Path(job.folder).rglob("part-*")} == before


def test_equal_runs_have_equal_bytes(tmp_path, source):
    path = source(10)
    first, second = tiny_job(tmp_path / "a", path), tiny_job(tmp_path / "b", path)
    run(first, executor="loop")
    run(second, executor="loop")

    for data in (tmp_path / "a").rglob("part-*.parquet"):
        assert data.read_bytes() == (tmp_path / "b" / data.relative_to(tmp_path / "a")).read_bytes()


def test_a_changed_option_redoes_its_stage_and_what_descends_from_it(tmp_path, source):
    path = source(10)
    run(tiny_job(tmp_path / "run", path), executor="loop")

    result = run(tiny_job(tmp_path / "run", path, parse={"shout": True}), executor="loop")

    assert result.outcome == Outcome.COMPLETE
    assert result.committed == {"parse": 3, "match": 3}


def test_a_changed_neutral_option_redoes_nothing_says_so_and_holds_from_then_on(tmp_path, source):
    path, pids = source(10), tmp_path / "pids"
    events: list[Any] = []
    pids.mkdir()
    run(tiny_job(tmp_path / "run", path), executor="loop")

    job = tiny_job(tmp_path / "run", path, caption={"note_pid": str(pids)})
    result = run(job, executor="loop", progress=events.append)

    assert (result.outcome, result.committed) == (Outcome.COMPLETE, {})
    assert [event.text for event in events] == [
        f"stage 'caption': note_pid is now {str(pids)!r} (was None), which redoes nothing"
    ]
    rerun(job.folder, "caption", shards=[1], allow_code=True, executor="loop")
    assert [name.name.split("-")[1] for name in pids.iterdir()] == ["00004"]


def test_where_the_redone_rows_are_equal_nothing_further_is_redone(tmp_path, source):
    path = source(10)
    run(tiny_job(tmp_path / "run", path), executor="loop")

    result = run(tiny_job(tmp_path / "run", path, caption={"word": "title"}), executor="loop")

    assert result.outcome == Outcome.COMPLETE
    assert result.committed == {"caption": 3, "parse": 3}  # the triplets have "thing" either way


def test_status_counts_shards_and_records(tmp_path, source):
    run(tiny_job(tmp_path / "run", source(10, bad=(3,)), caption={"dropped": [1]}), executor="loop")

    found = status(str(tmp_path / "run"))

    assert found.complete
    by_name = {stage.stage: stage for stage in found.stages}
    assert [stage.done for stage in found.stages] == [3, 3, 3, 3]
    assert by_name["ingest"].quarantined == {"zero_area_box": 1}
    assert by_name["caption"].dropped == {"not_wanted": 1}
    assert by_name["match"].dropped == {"one_box": 1}
    assert (by_name["match"].rows_in, by_name["match"].rows_out) == (9, 8)


def test_sidecars_say_what_a_shard_cost(tmp_path, source):
    gpus = Resources(num_gpus=2)
    job = tiny_job(tmp_path / "run", source(8), caption={"wait": 0.2}, caption_resources=gpus)
    run(job, executor="loop")

    folder = RunFolder(job.folder)
    caption, parse, images = (folder.sidecar(table, 0) for table in ("captions", "triplets", "images"))
    assert caption
    assert parse
    assert images
    assert caption.seconds >= 0.2
    assert caption.gpu_seconds == pytest.approx(2 * caption.seconds, rel=0.05)
    assert 0 < caption.cpu_seconds < caption.seconds  # it waited
    assert parse.gpu_seconds == 0
    assert parse.cpu_seconds > 0
    assert images.cpu_seconds > 0
