"""The small R-Tagger (`tests/fixtures/tiny_tagger.py`) as a fixture."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.fixtures import tiny_tagger
from tests.fixtures.hub_cache import hub_model

__all__ = ["hub_model"]


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    return tiny_tagger
