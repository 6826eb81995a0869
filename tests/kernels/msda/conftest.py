"""The kernels and instruction sets that this machine can test."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest
import torch

from relforge.kernels.msda.dispatch import why_not
from relforge.kernels.msda.library import load
from tests.conftest import TEST_DEVICE

REASON = why_not("cpu", "cpu", torch.float32)


def instruction_sets() -> list[str]:
    """Those of this processor; none where there is no native library."""
    if REASON is not None:
        return []
    library = load()
    supported = [name for name in ("avx512", "avx2", "portable") if not library.rf_use_isa(name.encode())]
    library.rf_use_isa(None)
    return supported


def kernels() -> list[str]:
    """Those of the device of the tests."""
    return ["reference", *([] if REASON else ["cpu"])] if TEST_DEVICE == "cpu" else ["reference", "triton"]


@pytest.fixture(params=kernels())
def kernel(request: pytest.FixtureRequest) -> str:
    """Every kernel that takes float32 tensors on the device of the tests."""
    name: str = request.param
    return name


@pytest.fixture
def native() -> ctypes.CDLL:
    """The native library, or a skip with the reason."""
    if REASON:
        pytest.skip(REASON)
    return load()


@pytest.fixture(params=instruction_sets())
def isa(request: pytest.FixtureRequest, native: ctypes.CDLL) -> Iterator[str]:
    """Every instruction set that this processor has, one after the other."""
    native.rf_use_isa(request.param.encode())
    yield request.param
    native.rf_use_isa(None)
