"""One contract, three storages: a local folder, process memory, and S3."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from shims import FailFrom, Recording

from relforge.pipeline.errors import RunError, StorageError
from relforge.pipeline.store.local_storage import LocalStorage
from relforge.pipeline.store.run_folder import open_storage
from relforge.pipeline.store.storage import Storage


@pytest.fixture(params=["local", "memory", "s3"])
def storage(request, tmp_path) -> Storage:
    if request.param == "local":
        return open_storage(tmp_path / "run")
    if request.param == "memory":
        return open_storage(f"memory://{tmp_path.name}")
    return open_storage(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


def test_a_staged_file_is_invisible_until_it_is_published(storage):
    pending = storage.stage("captions/part-00000.json", b"{}")
    assert storage.listing("captions") == {}
    assert storage.size("captions/part-00000.json") is None

    pending.publish()

    assert {name: stat.size for name, stat in storage.listing("captions").items()} == {"part-00000.json": 2}
    assert storage.read("captions/part-00000.json") == b"{}"


def test_a_discarded_file_leaves_no_trace(storage):
    storage.stage("captions/part-00000.json", b"{}").discard()

    assert storage.listing("captions") == {}


def test_publishing_replaces_what_was_there(storage):
    storage.write("run.json", b"old")
    storage.write("run.json", b"newer")

    assert storage.read("run.json") == b"newer"
    assert storage.size("run.json") == 5


def test_a_failed_check_leaves_what_was_there(storage):
    storage.write("run.json", b"old")

    def refuse(data: bytes) -> None:
        raise ValueError("not what was written")

    with pytest.raises(ValueError, match="not what was written"):
        storage.stage("run.json", b"new", refuse)
    assert storage.read("run.json") == b"old"


def test_deleting_twice_is_deleting_once(storage):
    storage.write("run.json", b"x")
    storage.delete("run.json")
    storage.delete("run.json")

    with pytest.raises(FileNotFoundError):
        storage.read("run.json")


def test_a_folder_that_is_not_there_is_empty(storage):
    assert storage.listing("nothing") == {}


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "no permission")],
)
def test_a_refused_write_is_one_sentence_and_leaves_nothing(tmp_path, number, sentence):
    storage = LocalStorage(tmp_path, FailFrom(number))

    with pytest.raises(StorageError, match=sentence):
        storage.write("captions/part-00000.parquet", b"x" * 10)
    assert list((tmp_path / "captions").iterdir()) == []


def test_bytes_are_flushed_before_the_rename_and_the_name_after_it(tmp_path):
    ops = Recording()

    LocalStorage(tmp_path, ops).write("captions/part-00000.json", b"{}")

    file, folder = "part-00000.json", "captions"
    assert ops.calls == [
        ("write", file),
        ("fsync", file),
        ("rename", file),
        ("renamed", file),
        ("fsync", folder),
    ]


def test_a_heartbeat_is_written_without_waiting_for_the_disk(tmp_path):
    ops = Recording()

    LocalStorage(tmp_path, ops).write("logs/beat.json", b"{}", durable=False)

    assert "fsync" not in [kind for kind, _ in ops.calls]


@pytest.mark.parametrize("folder", ["captions", ""])
def test_temporary_files_of_the_dead_are_deleted_and_those_of_the_living_kept(tmp_path, folder):
    leave_one = (
        "import sys; from relforge.pipeline.store.local_storage import LocalStorage;"
        "LocalStorage(sys.argv[1]).stage(sys.argv[2], b'{}')"
    )
    path = os.path.join(folder, "part-00000.json")
    subprocess.run([sys.executable, "-c", leave_one, str(tmp_path), path], check=True, cwd=os.getcwd())
    storage = LocalStorage(tmp_path)
    storage.stage(os.path.join(folder, "part-00001.json"), b"{}")

    assert storage.delete_orphans(folder) == 1
    assert [path.name.startswith(".part-00001") for path in (tmp_path / folder).iterdir()] == [True]


def test_an_unknown_scheme_is_named():
    with pytest.raises(RunError, match="unknown scheme 'gopher'"):
        open_storage("gopher://x/run")
