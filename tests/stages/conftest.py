"""Makes the hand-made tables of `rows.py` importable as a fixture."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def rows() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stage_rows", Path(__file__).parent / "rows.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
