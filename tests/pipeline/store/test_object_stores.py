"""The same run on an object store: equal data, resume, and repair."""

from __future__ import annotations

from types import SimpleNamespace

import fsspec
import pytest

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.rerun import rerun
from relforge.pipeline.run.status import status
from relforge.pipeline.store.object_storage import ObjectStorage
from relforge.pipeline.store.run_folder import RunFolder
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

    def listing(self, folder: str) -> dict[str, Stat]:
        found = super().listing(folder)
        for name in list(found):
            path = f"{folder}/{name}"
            if self._unseen.get(path, 0) > 0:
                self._unseen[path] -= 1
                del found[name]
        return found


def test_listings_that_come_late_cost_commands_and_change_no_byte(tmp_path, source):
    path = source(16, bad=(3,))
    place = f"memory://{tmp_path.name}/late"
    local = run(tiny_job(tmp_path / "run", path), executor="loop")
    storage = Late(place)

    results = [run(tiny_job(place, path), executor="loop", storage=storage) for _ in range(4)]

    assert results[-1].outcome == Outcome.COMPLETE
    assert {one.outcome for one in results} <= {Outcome.COMPLETE, Outcome.INCOMPLETE}
    assert results[-1].dataset_hash == local.dataset_hash
