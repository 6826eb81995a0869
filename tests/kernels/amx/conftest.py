"""AMX, or its emulation, for the tests that compute with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from tests.fixtures.emulated_amx import amx_or_its_emulation


@pytest.fixture(scope="module")
def amx() -> Iterator[None]:
    with amx_or_its_emulation():
        yield


@pytest.fixture
def with_threads() -> Iterator[Callable[[int], None]]:
    """Sets torch's number of threads, which comes back after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
