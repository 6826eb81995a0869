"""Done, missing, stale or broken: read off the folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from relforge.pipeline.run.execute import run
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.status import status
from relforge.pipeline.run.survey import State, Survey
from relforge.pipeline.store.run_folder import RunFolder
from tests.fixtures.tiny import tiny_job


@pytest.fixture
def done(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))
    run(job, executor="loop")
    return job


def survey(job, **options) -> Survey:
    return Survey(RunFolder(job.folder), make_plan(job), **options)


def test_nothing_there_is_missing(tmp_path, source):
    found = survey(tiny_job(tmp_path / "run", source(10)))
    assert found.shards is None
    assert found.finding("caption", 0).state == State.MISSING


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data, side: data.unlink(), "captions: the sidecar has no data"),
        (lambda data, side: side.unlink(), "captions: the data has no sidecar"),
        (lambda data, side: data.write_bytes(data.read_bytes()[:-9]), "bytes of data, its sidecar says"),
        (lambda data, side: data.write_bytes(b""), "captions: 0 bytes of data"),
        (lambda data, side: side.write_text("{"), "captions: its sidecar cannot be read"),
        (lambda data, side: side.write_text("[]"), "captions: its sidecar cannot be read"),
    ],
)
def test_data_and_sidecar_that_do_not_belong_together_are_broken(done, damage, why):
    folder = Path(done.folder) / "captions"
    damage(folder / "part-00001.parquet", folder / "part-00001.json")

    found = survey(done)

    assert found.finding("caption", 1).state == State.BROKEN
    assert why in found.finding("caption", 1).why
    assert found.finding("parse", 1).state == State.STALE
    assert found.finding("match", 1).why == "parse has to be redone first"
    assert found.finding("caption", 0).state == State.DONE


def test_a_stage_of_several_tables_is_done_only_with_all_of_them(done):
    (Path(done.folder) / "gold" / "part-00002.parquet").unlink()
    (Path(done.folder) / "gold" / "part-00002.json").unlink()

    assert survey(done).finding("ingest", 2).why == "gold: missing while other tables of the stage are there"


def test_a_flipped_bit_is_found_when_asked_to_verify(done):
    path = Path(done.folder) / "captions" / "part-00001.parquet"
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(bytes(data))

    assert survey(done).finding("caption", 1).state == State.DONE
    assert survey(done, verify=True).finding("caption", 1).state == State.BROKEN
    assert {s.stage: s.broken for s in status(done.folder, verify=True).stages}["caption"] == 1


def test_foreign_files_in_a_table_folder_are_left_alone(done):
    for name in ("notes.txt", "part-x.parquet", "part-00001.parquet.crc", "_SUCCESS"):
        (Path(done.folder) / "captions" / name).write_text("mine")
    assert survey(done).complete


def test_a_gap_in_the_numbering_is_missing_shards(done):
    for table in ("captions", "triplets"):
        for path in (Path(done.folder) / table).glob("part-00001.*"):
            path.unlink()
    found = survey(done)
    assert found.undone("caption") == [1]
    assert found.finding("parse", 1).state == State.MISSING
    assert not found.complete
