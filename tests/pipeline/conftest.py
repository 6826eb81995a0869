"""The tiny job (tiny.py) for every test of this folder, importable by its workers as `tiny`."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

HERE = str(Path(__file__).resolve().parent)
sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))

Make = Callable[..., Path]


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a killed process needs no disk to lose data on, and flushing
    one costs milliseconds each time."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=memory, prefix="relforge-test-") as folder:
        yield Path(folder)


@pytest.fixture
def source(tmp_path: Path) -> Make:
    """`source(images=10, bad=[3])` writes the tiny dataset's file."""

    def make(images: int = 10, bad: tuple[int, ...] = (), name: str = "source.json") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({"images": images, "bad": list(bad)}))
        # older than the clock's grain, as a real annotation file is
        os.utime(path, (1_700_000_000, 1_700_000_000))
        return path

    return make


@pytest.fixture
def start(monkeypatch) -> Callable[..., multiprocessing.Process]:
    """`start(function, *args)` runs a function of forked.py in a process forked from a clean one."""
    # else every child would first import pytest, as the main module
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["forked", "tiny", "pandas"])  # pyarrow imports pandas on first use

    def start(function: Callable[..., None], *args) -> multiprocessing.Process:
        process = context.Process(target=function, args=args)
        process.start()
        return process

    return start


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One local Ray for the module, started by the same code that `run` uses."""
    from relforge.pipeline.ray_session import ray_session

    with ray_session(num_cpus=2):
        yield


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """`s3://...` on an S3 server inside this process."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    boto3.client("s3").create_bucket(Bucket="relforge")
    yield "s3://relforge"
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    server.stop()
