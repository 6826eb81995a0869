"""Manifests make a large folder quick to read and are never believed over a sidecar."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import forked
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from shims import CallAt

from relforge.pipeline.errors import Outcome, RunError
from relforge.pipeline.run import execute
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.run.rerun import rerun
from relforge.pipeline.run.status import status
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store import compaction
from relforge.pipeline.store.compaction import compact
from relforge.pipeline.store.local_storage import LocalStorage
from relforge.pipeline.store.manifest import SCHEMA, manifest_path, read_manifest, write_manifest
from relforge.pipeline.store.object_storage import ObjectStorage
from relforge.pipeline.store.run_folder import RunFolder
from relforge.pipeline.store.sidecar import Sidecar
from relforge.pipeline.store.storage import Storage
from tests.fixtures.contents import read_contents
from tests.fixtures.tiny import tiny_job

TABLES = ("images", "boxes", "gold", "classes", "captions", "triplets", "candidates")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests of any number of sidecars, however young."""
    for module in (compaction, execute):
        monkeypatch.setattr(module, "MIN_LOOSE", 1)
    monkeypatch.setattr(compaction, "_RACY_SECONDS", -1.0)


@pytest.fixture
def place(ram: Path, source) -> Path:
    """A finished run of three shards with a manifest of each table."""
    job = tiny_job(ram / "run", source(12, bad=(3,)), caption={"quarantined": [7]})
    assert run(job, executor="loop").outcome == Outcome.COMPLETE
    assert all((ram / "run" / manifest_path(table)).exists() for table in TABLES)
    return ram / "run"


def edit(path: Path, old: bytes, new: bytes) -> None:
    """Change bytes in place, and set the time of the change back."""
    before, data = path.stat(), path.read_bytes()
    assert old in data
    assert len(old) == len(new)
    with path.open("r+b") as file:
        file.write(data.replace(old, new))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def sidecar_edited(place: Path) -> None:
    edit(place / "_state/captions/part-00001.json", b'"rows_out": 3', b'"rows_out": 2')


def fingerprint_edited(place: Path) -> None:
    path = place / "_state/captions/part-00002.json"
    start = path.read_bytes().index(b'"fingerprint": "') + len(b'"fingerprint": "')
    old = path.read_bytes()[start : start + 60]
    edit(path, old, old[1:] + b"0")


def sidecar_deleted(place: Path) -> None:
    (place / "_state/captions/part-00001.json").unlink()


def sidecar_of_another_shard(place: Path) -> None:
    there = (place / "_state/triplets/part-00000.json").read_bytes()
    (place / "_state/triplets/part-00001.json").write_bytes(there)


def data_deleted(place: Path) -> None:
    (place / "candidates/part-00002.parquet").unlink()


def data_cut(place: Path) -> None:
    path = place / "candidates/part-00002.parquet"
    path.write_bytes(path.read_bytes()[:-9])


def data_edited(place: Path) -> None:
    edit(place / "candidates/part-00002.parquet", b"PAR1", b"PAR2")


def quarantine_edited(place: Path) -> None:
    path = place / "quarantine/caption/part-00001.parquet"
    path.write_bytes(path.read_bytes()[::-1])


def manifest_of_fewer(place: Path) -> None:
    storage = LocalStorage(place)
    rows = read_manifest(storage, "captions", SCHEMA.names)
    write_manifest(storage, "captions", rows.filter(pc.field("shard") != 1))


def manifest_of_more(place: Path) -> None:
    storage = LocalStorage(place)
    rows = read_manifest(storage, "captions", SCHEMA.names)
    more = rows.slice(1, 2).set_column(0, SCHEMA.field(0), pa.array([3, 4], pa.int32()))
    write_manifest(storage, "captions", pa.concat_tables([rows, more]))


def manifest_of_twice_the_same(place: Path) -> None:
    storage = LocalStorage(place)
    rows = read_manifest(storage, "captions", SCHEMA.names)
    write_manifest(storage, "captions", pa.concat_tables([rows, rows.slice(1, 1)]))


TAMPERED = (
    sidecar_edited, fingerprint_edited, sidecar_deleted, sidecar_of_another_shard, data_deleted, data_cut,
    data_edited, quarantine_edited, manifest_of_fewer, manifest_of_more, manifest_of_twice_the_same,
)  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda one: one.__name__)
def test_whatever_was_changed_is_seen_as_without_manifests_and_made_again(
    place: Path, source, tamper: Callable[[Path], None]
) -> None:
    before = read_contents(str(place))
    tamper(place)

    seen = status(str(place))

    for table in TABLES:
        (place / manifest_path(table)).rename(place / f"{table}.aside")
    assert asdict(seen) == asdict(status(str(place)))
    for table in TABLES:
        (place / f"{table}.aside").rename(place / manifest_path(table))
    job = load_plan(RunFolder(str(place))).job
    assert run(job, executor="loop").outcome == Outcome.COMPLETE
    assert read_contents(str(place)) == before


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


@pytest.mark.parametrize("damage", [cut, flipped, lambda data: b"", lambda data: b"PAR1" + data])
def test_a_damaged_manifest_costs_time_and_nothing_else(place: Path, damage) -> None:
    before = status(str(place))
    for table in TABLES:
        path = place / manifest_path(table)
        path.write_bytes(damage(path.read_bytes()))

    assert asdict(status(str(place))) == asdict(before)


def accounts(place: Path) -> list[list[Sidecar]]:
    """All accounts, of every table."""
    folder = RunFolder(str(place))
    survey = Survey(folder, load_plan(folder))
    return [list(survey.accounts(step, table)) for step in survey.plan.steps for table in step.outputs]


def with_accounts(place: Path, value: bytes) -> None:
    """The manifest of the images with that account in each row."""
    storage = LocalStorage(place)
    rows = read_manifest(storage, "images", SCHEMA.names)
    column = pa.array([value] * rows.num_rows, pa.binary())
    write_manifest(storage, "images", rows.set_column(SCHEMA.get_field_index("account"), "account", column))


def test_the_accounts_of_a_manifest_are_those_of_the_sidecars(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = record(monkeypatch, LocalStorage, "read")
    found = accounts(place)
    assert [path for path in read if "part-" in path] == []

    for table in TABLES:
        (place / manifest_path(table)).unlink()
    assert found == accounts(place)


@pytest.mark.parametrize("other", [b"{}", b"another shard's"])
def test_a_row_without_the_account_of_its_shard_is_read_from_its_sidecar(place: Path, other: bytes) -> None:
    before, seen = accounts(place), status(str(place))
    with_accounts(place, other if other == b"{}" else (place / "_state/boxes/part-00000.json").read_bytes())

    assert accounts(place) == before
    assert asdict(status(str(place))) == asdict(seen)


def test_an_account_that_is_gone_since_the_folder_was_read_is_one_sentence(place: Path) -> None:
    folder = RunFolder(str(place))
    survey = Survey(folder, load_plan(folder))
    with_accounts(place, b"{}")
    (place / "_state/images/part-00001.json").unlink()

    with pytest.raises(RunError, match=r"part-00001\.json changed while the folder was read; give the same"):
        list(survey.accounts(survey.plan.ingest))


def test_an_account_of_absurd_numbers_is_in_no_manifest(place: Path) -> None:
    path = place / "_state/captions/part-00001.json"
    path.write_bytes(path.read_bytes().replace(b'"rows_in": 4', b'"rows_in": 400000000000000000000'))

    compact(RunFolder(str(place)), TABLES)

    shards = read_manifest(LocalStorage(place), "captions")["shard"].to_pylist()
    assert shards == [0, 2]
    assert {stage.stage: stage.rows_in for stage in status(str(place)).stages}["caption"] > 10**20


def record(monkeypatch: pytest.MonkeyPatch, kind: type[Storage], *names: str) -> list[str]:
    """The paths that these methods will be called with."""
    paths: list[str] = []

    def watch(name: str) -> None:
        known = getattr(kind, name)

        def call(self, path, *rest):
            paths.append(path)
            return known(self, path, *rest)

        monkeypatch.setattr(kind, name, call)

    for name in names:
        watch(name)
    return paths


def test_no_sidecar_and_no_footer_is_read_that_a_manifest_holds(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = record(monkeypatch, LocalStorage, "read", "read_end")

    status(str(place))
    run(load_plan(RunFolder(str(place))).job, executor="loop")

    assert [path for path in read if "part-" in path] == []
    assert manifest_path("captions") in read


def test_verifying_reads_every_sidecar_and_every_byte(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = record(monkeypatch, LocalStorage, "read")

    status(str(place), verify=True)

    assert {f"_state/{table}/part-00001.json" for table in TABLES} <= set(read)
    assert {f"{table}/part-00001.parquet" for table in TABLES} <= set(read)


def test_a_killed_compaction_leaves_the_old_manifest_and_no_other_file(place: Path, start, source) -> None:
    before = status(str(place))
    (place / manifest_path("captions")).unlink()

    process = start(forked.compact_to_death, str(place), "rename", manifest_path("captions"), place.parent)
    process.join(60)

    assert process.exitcode == -signal.SIGKILL
    assert asdict(status(str(place))) == asdict(before)
    assert list((place / "_state").glob(".*.tmp"))
    rerun(str(place), "parse", shards=[1], allow_code=True, executor="loop")
    assert not list((place / "_state").glob(".*.tmp"))
    assert (place / manifest_path("captions")).exists()


def test_a_shard_made_again_while_the_manifest_is_written_is_not_taken_from_it(place: Path, source) -> None:
    """Another driver, between the listing and the manifest that was made from it."""
    job = load_plan(RunFolder(str(place))).job
    path = place / manifest_path("captions")
    path.unlink()

    def other() -> None:
        (place / "_state/captions/part-00001.json").unlink()
        assert run(job, executor="loop").outcome == Outcome.COMPLETE

    slow = RunFolder(str(place), LocalStorage(place, CallAt("rename", manifest_path("captions"), other)))
    compact(slow, ["captions"])

    before = read_contents(str(place))
    assert status(str(place)).complete
    (place / "_state/captions/part-00001.json").unlink()
    assert not status(str(place)).complete
    assert run(job, executor="loop").outcome == Outcome.COMPLETE
    assert read_contents(str(place)) == before


def test_a_run_killed_with_manifests_in_its_middle_ends_in_the_same_bytes(
    ram: Path, source, start, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source(24, bad=(3,))
    job = tiny_job(ram / "run", path)
    for n in (9, 40, 71):
        process = start(forked.drive_compacting_to_death, job, n, ram / "kills.log")
        process.join(120)
        assert process.exitcode == -signal.SIGKILL

    assert run(job, executor="loop").outcome == Outcome.COMPLETE
    run(tiny_job(ram / "loop", path), executor="loop")
    assert read_contents(str(ram / "run")) == read_contents(str(ram / "loop"))


def test_an_object_store_is_believed_by_its_etags(
    tmp_path: Path, source, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{bucket}/{tmp_path.name}"
    job = tiny_job(place, source(12))
    run(job, executor="loop")
    read = record(monkeypatch, ObjectStorage, "read", "read_end")

    assert status(place).complete
    assert [path for path in read if "part-" in path] == []

    storage = RunFolder(place).storage
    changed = "_state/captions/part-00001.json"
    account = storage.read(changed)
    storage.write(changed, account.replace(b'"fingerprint": "', b'"fingerprint": "x'))
    assert {stage.stage: stage.stale for stage in status(place).stages}["caption"] == 1
    assert [path for path in read if "part-" in path] == [changed, changed]
