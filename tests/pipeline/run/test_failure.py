"""Which errors are worth another attempt."""

from __future__ import annotations

import errno

import pytest
from aiohttp import ServerDisconnectedError
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from relforge.pipeline.run.failure import is_transient
from relforge.pipeline.run.ingest import ingest
from relforge.pipeline.run.plan import make_plan
from relforge.pipeline.run.worker import COMMITTED, ShardWorker
from relforge.pipeline.store.object_storage import ObjectStorage
from relforge.pipeline.store.run_folder import RunFolder
from tests.fixtures.tiny import tiny_job

STORE_ERRORS = [
    EndpointConnectionError(endpoint_url="http://store"),
    ReadTimeoutError(endpoint_url="http://store"),
    ServerDisconnectedError(),
    OSError(errno.EBUSY, "please reduce your request rate"),
    ConnectionResetError(),
    TimeoutError(),
]


@pytest.mark.parametrize("error", [*STORE_ERRORS, OSError(errno.EIO, "disk"), MemoryError()])
def test_network_storage_and_memory_errors_are_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error", [KeyError("x"), FileNotFoundError(errno.ENOENT, "x"), PermissionError(errno.EACCES, "x")]
)
def test_defects_and_refusals_are_not(error: Exception) -> None:
    assert not is_transient(error)


@pytest.mark.parametrize("error", STORE_ERRORS, ids=lambda error: type(error).__name__)
def test_a_shard_survives_two_errors_of_the_object_store_client(tmp_path, source, monkeypatch, error) -> None:
    monkeypatch.setattr("relforge.pipeline.run.worker.time.sleep", lambda seconds: None)
    plan = make_plan(tiny_job(f"memory://{tmp_path.name}/run", source(4)))
    folder = RunFolder(plan.job.folder)
    list(ingest(plan, folder))
    raised: list[str] = []
    put = ObjectStorage.write

    def shaky(self: ObjectStorage, path: str, data: bytes, **options: bool) -> None:
        if path.startswith("captions/") and len(raised) < 2:
            raised.append(path)
            raise error
        put(self, path, data, **options)

    monkeypatch.setattr(ObjectStorage, "write", shaky)

    assert ShardWorker(plan, "caption", folder).run(0).state == COMMITTED
    assert len(raised) == 2
