"""The hand-made tables of `tests/fixtures/rows.py` as a fixture."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.fixtures import rows as hand_made


@pytest.fixture(scope="session")
def rows() -> ModuleType:
    return hand_made
