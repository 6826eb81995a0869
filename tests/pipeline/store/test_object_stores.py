"""The same run on an object store: equal data, resume, and repair."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from aiobotocore.client import AioBaseClient

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.rerun import rerun
from relforge.pipeline.run.status import status
from relforge.pipeline.store.files import Files
from relforge.pipeline.store.object_storage import ObjectStorage
from relforge.pipeline.store.run_folder import RunFolder
from relforge.pipeline.store.s3 import _take_objects
from relforge.pipeline.store.storage import Stat
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


class Expiring(ObjectStorage):
    """Its credentials expire after so many writes, as s3fs reports it."""

    left = 12

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        put = self._fs.pipe_file

        def pipe_file(path: str, data: bytes) -> None:
            type(self).left -= 1
            if type(self).left < 0:
                raise PermissionError("ExpiredToken: The provided token has expired")
            put(path, data)

        self._fs = SimpleNamespace(**{name: getattr(self._fs, name) for name in ("cat_file", "ls", "size")})
        self._fs.rm_file, self._fs.pipe_file = fsspec.filesystem("memory").rm_file, pipe_file


def test_credentials_that_expire_are_one_sentence_and_the_same_command_goes_on(tmp_path, source):
    path = source(16)
    place = f"memory://{tmp_path.name}/run"
    local = run(tiny_job(tmp_path / "run", path), executor="loop")

    stopped = run(tiny_job(place, path), executor="loop", storage=Expiring(place))
    finished = run(tiny_job(place, path), executor="loop")

    assert stopped.outcome == Outcome.INCOMPLETE
    assert "token has expired); renew the credentials and give the same command again" in stopped.message
    assert finished.dataset_hash == local.dataset_hash
    assert 0 < sum(finished.committed.values()) < sum(local.committed.values())


class Late(ObjectStorage):
    """A store that lists a new object only in the second listing after it was written."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._unseen: dict[str, int] = {}

    def write(self, path: str, data: bytes, *, durable: bool = True, private: bool = False) -> None:
        if self.size(path) is None:
            self._unseen[path] = 1
        super().write(path, data, durable=durable, private=private)

    def files(self, folder: str) -> Files:
        found = super().files(folder).stats()
        for name in list(found):
            path = f"{folder}/{name}"
            if self._unseen.get(path, 0) > 0:
                self._unseen[path] -= 1
                del found[name]
        return Files.of(found.items())


def test_listings_that_come_late_cost_commands_and_change_no_byte(tmp_path, source):
    path = source(16, bad=(3,))
    place = f"memory://{tmp_path.name}/late"
    local = run(tiny_job(tmp_path / "run", path), executor="loop")
    storage = Late(place)

    results = [run(tiny_job(place, path), executor="loop", storage=storage) for _ in range(4)]

    assert results[-1].outcome == Outcome.COMPLETE
    assert {one.outcome for one in results} <= {Outcome.COMPLETE, Outcome.INCOMPLETE}
    assert results[-1].dataset_hash == local.dataset_hash


NAMES = ("part-00001.parquet", "part-00002.parquet", "a&b <c>.txt", "100% + 1.txt", "übrig.txt")


@pytest.fixture
def requests(monkeypatch) -> list[str]:
    """The S3 operations that will be asked for."""
    made: list[str] = []
    call = AioBaseClient._make_api_call

    async def record(self, operation, parameters):
        made.append(operation)
        return await call(self, operation, parameters)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", record)
    return made


@pytest.mark.parametrize("parser", ["ours", "botocore's"])
def test_a_listing_of_s3_has_every_object_right_below(tmp_path, bucket, monkeypatch, requests, parser):
    monkeypatch.setattr("relforge.pipeline.store.s3._PAGE", 2)
    storage = RunFolder(f"{bucket}/{tmp_path.name}").storage
    for name in (*NAMES, ".hidden", "below/part-00003.parquet"):
        storage.write(f"captions/{name}", name.encode())
    requests.clear()
    if parser == "botocore's":
        monkeypatch.setattr("relforge.pipeline.store.s3._START", b"nothing")

    found = storage.listing("captions")

    tags = {name: f'"{hashlib.md5(name.encode()).hexdigest()}"' for name in NAMES}
    assert found == {name: Stat(len(name.encode()), tags[name]) for name in NAMES}
    assert set(requests) == {"ListObjectsV2"}
    assert len(requests) == 4
    assert storage.listing("nothing") == {}
    assert len(requests) == 5


@pytest.mark.parametrize(
    "page",
    [
        b"<ns:Contents><ns:Key>a</ns:Key><ns:ETag>b</ns:ETag><ns:Size>1</ns:Size></ns:Contents>",
        b"<Contents><Key>a</Key><Size>1</Size></Contents>",
        b"<Contents><Key>a</Key><ETag>b</ETag><Size>1</Size>",
        b"<Contents><Key>a&#10;b</Key><ETag>b</ETag><Size>1</Size></Contents>",
    ],
)
def test_a_page_of_s3_that_looks_different_is_left_as_it_is(page):
    answer: dict[str, Any] = {"status_code": 200, "body": page}
    found: dict[str, Any] = {}

    _take_objects(answer, found)

    assert found == {}
    assert answer["body"] == page


def test_s3_is_asked_once_for_each_thing(tmp_path, bucket, requests):
    storage = RunFolder(f"{bucket}/{tmp_path.name}").storage
    storage.write("a.txt", b"abcdef")
    assert (storage.read("a.txt"), storage.read_end("a.txt", 2), storage.size("a.txt")) == (
        b"abcdef",
        b"ef",
        6,
    )
    assert storage.read_end("a.txt", 100) == b"abcdef"
    assert storage.size("b.txt") is None
    with pytest.raises(FileNotFoundError):
        storage.read("b.txt")
    storage.delete("b.txt")

    assert requests == [
        "PutObject", "GetObject", "GetObject", "HeadObject", "GetObject", "HeadObject", "GetObject",
        "DeleteObject",
    ]  # fmt: skip


def test_listings_of_others_are_left_as_they_are(tmp_path, bucket):
    storage = RunFolder(f"{bucket}/{tmp_path.name}").storage
    storage.write("captions/a.txt", b"abc")
    assert set(storage.listing("captions")) == {"a.txt"}

    seen = fsspec.filesystem("s3").ls(f"{bucket}/{tmp_path.name}/captions")

    assert [name.rsplit("/", 1)[-1] for name in seen] == ["a.txt"]
