"""Files of a finished run that were changed, cut or deleted: which are noticed, when, and redone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from relforge.pipeline.run.execute import run
from relforge.pipeline.run.findings import State
from relforge.pipeline.run.job import Job, Limits
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.rerun import rerun
from relforge.pipeline.run.status import status
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.quarantine import quarantine_bytes, quarantined
from relforge.pipeline.store.run_folder import RunFolder
from relforge.stages.contract import Quarantined
from tests.fixtures.tiny import tiny_job

LAST = "candidates"
ASIDE = "quarantine/caption/part-00001.parquet"


@pytest.fixture
def done(tmp_path, source) -> Job:
    """Three shards; image 6, of shard 1, is quarantined by the caption stage."""
    job = tiny_job(tmp_path / "run", source(10), caption={"quarantined": [6]}, limits=Limits(0.5))
    run(job, executor="loop")
    return job


def flip(path: Path, at: int = 30) -> None:
    """Change one bit; size and inode stay."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    with path.open("r+b") as file:
        file.write(data)


def replaced(path: Path) -> None:
    """Another file under the name, of the same size and time."""
    before, other = path.stat(), path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    flip(other)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


def edit_sidecars(folder: Path, change: Callable[[dict], None]) -> None:
    for path in (folder / "_state").glob("*/*.json"):
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))


# --- data


@pytest.mark.parametrize("damage", [flip, replaced])
def test_a_flipped_bit_in_a_shard_that_nothing_reads_is_found_and_redone_by_the_same_command(done, damage):
    reference = status(done.folder).dataset_hash
    path = Path(done.folder) / LAST / "part-00001.parquet"
    whole = path.read_bytes()
    damage(path)

    result = run(done, executor="loop")

    assert (result.committed, result.dataset_hash) == ({"match": 1}, reference)
    assert path.read_bytes() == whole
    assert run(done, executor="loop").committed == {}


def test_a_damaged_footer_is_found_although_the_file_seems_unchanged(done):
    path = Path(done.folder) / LAST / "part-00001.parquet"
    before = path.stat()
    flip(path, at=before.st_size - 1)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert run(done, executor="loop").committed == {"match": 1}


def test_a_file_that_was_only_touched_is_done(done):
    os.utime(Path(done.folder) / LAST / "part-00001.parquet")

    assert run(done, executor="loop").committed == {}


# --- quarantined records


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.unlink(), "quarantine: the file is gone"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "quarantine: "),
        (flip, "quarantine: its bytes changed since it was written"),
        (replaced, "quarantine: its bytes changed since it was written"),
    ],
)
def test_a_changed_file_of_quarantined_records_makes_its_shard_broken_and_redone(done, damage, why):
    reference, records = status(done.folder).dataset_hash, quarantined(done.folder).to_pylist()
    damage(Path(done.folder) / ASIDE)

    found = status(done.folder)
    assert {s.stage: s.broken for s in found.stages}["caption"] == 1
    assert next(s for s in found.stages if s.stage == "caption").problems[1].startswith(why)

    result = run(done, executor="loop")
    assert (result.committed, result.dataset_hash) == ({"caption": 1}, reference)
    assert quarantined(done.folder).to_pylist() == records


def test_a_file_of_quarantined_records_that_no_commit_wrote_makes_its_shard_broken(done):
    aside = Path(done.folder) / ASIDE
    aside.with_name("part-00000.parquet").write_bytes(aside.read_bytes())

    assert run(done, executor="loop").committed == {"caption": 1}
    assert [path.name for path in aside.parent.iterdir()] == ["part-00001.parquet"]


def test_verify_reads_files_of_quarantined_records_that_seem_unchanged(done):
    path = Path(done.folder) / ASIDE
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert status(done.folder).complete
    assert not status(done.folder, verify=True).complete


def test_quarantined_records_are_part_of_the_dataset_hash_but_not_their_attempt(done):
    survey = Survey(RunFolder(done.folder), make_plan(done))
    reference = survey.dataset_hash()
    assert reference != survey.dataset_hash(survey.plan.tables)

    def later(value: dict) -> None:
        value["attempt"] = 7

    edit_sidecars(Path(done.folder), later)
    assert status(done.folder).dataset_hash == reference

    def other(value: dict) -> None:
        if value["quarantine"]["content"]:
            value["quarantine"]["content"] = "other records"

    edit_sidecars(Path(done.folder), other)
    assert status(done.folder).dataset_hash != reference


def test_the_content_of_quarantined_records_knows_neither_attempt_nor_addresses():
    def content(detail: str, attempt: int) -> str:
        record = Quarantined({"image_id": "6"}, "not_read", detail)
        return quarantine_bytes("caption", 1, [record], attempt)[1].content

    reference = content("<Image at 0x7f01> is broken", 1)

    assert content("<Image at 0x7f01> is broken", 2) == reference
    assert content("<Image at 0x7e99> is broken", 1) == reference
    assert content("<Image at 0x7f01> is empty", 1) != reference


def test_a_rerun_gives_the_same_quarantined_records(done):
    reference, records = status(done.folder).dataset_hash, quarantined(done.folder).to_pylist()

    result = rerun(done.folder, "caption", allow_code=True, executor="loop")

    assert (result.committed, result.dataset_hash) == ({"caption": 3}, reference)
    assert quarantined(done.folder).to_pylist() == records


def test_sidecars_of_earlier_versions_count_as_done(done):
    def forget(value: dict) -> None:
        del value["modified"], value["quarantine"]

    edit_sidecars(Path(done.folder), forget)

    assert status(done.folder, verify=True).complete
    assert run(done, executor="loop").committed == {}


def test_a_shorter_dataset_leaves_no_surplus_quarantined_records(done, source):
    source(4)

    run(done, executor="loop", accept_changes=True)

    assert quarantined(done.folder).num_rows == 0
    assert Survey(RunFolder(done.folder), make_plan(done)).finding("caption", 0).state == State.DONE


# --- other readers


def test_a_table_folder_is_read_as_it_is_by_other_libraries(done):
    folder = Path(done.folder) / LAST
    duckdb, dataset = pytest.importorskip("duckdb"), pytest.importorskip("pyarrow.dataset")
    pandas = pytest.importorskip("pandas")
    rows = dataset.dataset(folder).count_rows()
    assert rows > 0
    assert len(pandas.read_parquet(folder)) == rows
    assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{folder}/*')").fetchall() == [(rows,)]


def test_a_table_folder_is_read_as_it_is_by_polars(done):
    polars = pytest.importorskip("polars")
    folder = Path(done.folder) / LAST
    assert polars.read_parquet(f"{folder}/*").height > 0


def test_a_table_folder_is_read_as_it_is_by_hugging_faces_datasets(done, tmp_path):
    try:
        version("datasets")  # not by its name as a module, which one of the fixtures has too
    except PackageNotFoundError:
        pytest.skip("Hugging Face's datasets is not here")
    folder = Path(done.folder) / LAST
    program = (
        "import sys, datasets; "
        "read = datasets.load_dataset(sys.argv[1], split='train', cache_dir=sys.argv[2]); "
        "print(read.num_rows, read[0]['image_id'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    read = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(tmp_path / "cache")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert read.returncode == 0, read.stderr
    assert read.stdout.split()[1] == "00000"
