"""The tiny LLaVA as a fixture."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.tiny_llava import write_tiny_llava


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llava(tmp_path_factory.mktemp("tiny-llava"))
