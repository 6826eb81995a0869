"""Shared fixtures, and what holds for every test: no network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("RELFORGE_SHARED", ROOT.parent / "shared"))
TEST_DEVICE = os.environ.get("RELFORGE_TEST_DEVICE", "cpu")
"""Where the parity suites of R-Tagger and deformable attention run; `benchmarks/gpu.py` sets `cuda`."""


def shared_path(relative: str) -> Path:
    """A file of `tests/goldens` or of the development data, or a skip that names what is missing."""
    path = ROOT / "tests" / relative
    if relative.startswith("goldens/") and path.exists():
        return path
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"development data not here: set RELFORGE_SHARED to the folder that holds {relative}")
    return path


@pytest.fixture(scope="session")
def shared():
    """`shared("goldens/g0_msda_units.npz")` -> Path, skipping where it is absent."""
    return shared_path


@pytest.fixture(autouse=True)
def _ray_authentication() -> Iterator[None]:
    """`submit` switches Ray's token mode on for its process; the next test starts as this one did."""
    before = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
    yield
    for name in [name for name in os.environ if name.startswith("RAY_AUTH")]:
        del os.environ[name]
    os.environ.update(before)
