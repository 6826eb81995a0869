"""Done, missing, stale or broken, determined from the folder alone."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from relforge.pipeline.errors import RunError
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.findings import State
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.rerun import rerun
from relforge.pipeline.run.status import status
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.run_folder import RunFolder
from tests.fixtures.tiny import tiny_job


@pytest.fixture
def done(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))
    run(job, executor="loop")
    return job


def survey(job, **options) -> Survey:
    return Survey(RunFolder(job.folder), make_plan(job), **options)


def test_the_garbage_collector_rests_only_while_a_folder_is_read(done, monkeypatch):
    resting: list[bool] = []
    read = RunFolder.survey

    def look(*arguments, **options):
        resting.append(not gc.isenabled())
        return read(*arguments, **options)

    monkeypatch.setattr(RunFolder, "survey", look)
    survey(done)
    assert all(resting)
    assert resting
    assert gc.isenabled()


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
        (lambda data, side: side.write_text("{"), "sidecar _state/captions/part-00001.json is damaged"),
        (lambda data, side: side.write_text("[]"), "sidecar _state/captions/part-00001.json is damaged"),
        (
            lambda data, side: side.write_text(json.dumps(json.loads(side.read_text()) | {"rows_in": "9"})),
            "not a sidecar (Expected `int`, got `str` - at `$.rows_in`)",
        ),
        (
            lambda data, side: side.write_text("[" * 100_000),
            "captions: its sidecar _state/captions/part-00001.json",
        ),
    ],
)
def test_data_and_sidecar_that_do_not_belong_together_are_broken(done, damage, why):
    folder = Path(done.folder)
    damage(folder / "captions/part-00001.parquet", folder / "_state/captions/part-00001.json")

    found = survey(done)

    assert found.finding("caption", 1).state == State.BROKEN
    assert why in found.finding("caption", 1).why
    assert found.finding("parse", 1).state == State.STALE
    assert found.finding("match", 1).why == "parse has to be redone first"
    assert found.finding("caption", 0).state == State.DONE


@pytest.mark.parametrize("content", ["[]", "7", "{}", '{"key": [], "shards": 1}', "[" * 100_000])
def test_a_manifest_of_the_wrong_type_is_refused_in_one_sentence_that_names_it(done, content):
    (Path(done.folder) / "ingest.json").write_text(content)

    with pytest.raises(RunError, match=r"ingest\.json is damaged .*; restore or delete it"):
        survey(done)


def test_a_stage_of_several_tables_is_done_only_with_all_of_them(done):
    (Path(done.folder) / "gold" / "part-00002.parquet").unlink()
    (Path(done.folder) / "_state" / "gold" / "part-00002.json").unlink()

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
        for path in Path(done.folder).glob(f"**/{table}/part-00001.*"):
            path.unlink()
    found = survey(done)
    assert found.undone("caption") == [1]
    assert found.finding("parse", 1).state == State.MISSING
    assert not found.complete


def move_sidecars_beside_the_data(folder: Path) -> None:
    """The layout of earlier versions."""
    for sidecar in (folder / "_state").glob("*/*.json"):
        sidecar.rename(folder / sidecar.parent.name / sidecar.name)


def test_a_folder_of_earlier_versions_is_done_and_resumes(done):
    move_sidecars_beside_the_data(Path(done.folder))

    assert survey(done).complete
    assert run(done, executor="loop").committed == {}


def test_a_shard_made_again_leaves_no_sidecar_in_the_old_place(done):
    folder = Path(done.folder)
    move_sidecars_beside_the_data(folder)

    assert rerun(done.folder, "caption", shards=[1], allow_code=True, executor="loop").committed == {
        "caption": 1
    }

    assert not (folder / "captions/part-00001.json").exists()
    assert (folder / "_state/captions/part-00001.json").exists()
    assert survey(done).complete


def test_a_damaged_input_of_an_earlier_version_is_noticed_and_made_again(done):
    folder = Path(done.folder)
    move_sidecars_beside_the_data(folder)
    data = bytearray((folder / "captions/part-00001.parquet").read_bytes())
    data[30] ^= 1
    (folder / "captions/part-00001.parquet").write_bytes(bytes(data))
    (folder / "triplets/part-00001.json").unlink()

    assert run(done, executor="loop").committed == {"caption": 1, "parse": 1}


def test_the_folder_of_a_table_holds_parquet_files_alone(done):
    assert {path.suffix for path in (Path(done.folder) / "captions").iterdir()} == {".parquet"}
