"""Shared fixtures. Set-up for every test: no network, one torch thread less than the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("RELFORGE_SHARED", ROOT.parent / "shared"))


def shared_path(relative: str) -> Path:
    """A file of the development data, or a skip that says what is missing."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"development data not here: set RELFORGE_SHARED to the folder that holds {relative}")
    return path


@pytest.fixture(scope="session")
def shared():  # type: ignore[no-untyped-def]
    """`shared("goldens/g0_msda_units.npz")` -> Path, skipping where it is absent."""
    return shared_path
