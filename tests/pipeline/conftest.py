"""The tiny job (tiny.py) for every test of this folder, importable by its workers as `tiny`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = str(Path(__file__).resolve().parent)
sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))

Make = Callable[..., Path]


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


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One local Ray for the module, started by the same code that `run` uses."""
    from relforge.pipeline.ray_session import ray_session

    with ray_session(num_cpus=2):
        yield
