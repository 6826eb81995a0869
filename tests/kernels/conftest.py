"""Which kernels this machine can test."""

from __future__ import annotations

import pytest
import torch

from relforge.kernels.dispatch import why_not


@pytest.fixture(params=["twin", "cpu"])
def kernel(request):
    """Every kernel that takes float32 tensors on the CPU."""
    reason = why_not(request.param, "cpu", torch.float32)
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    return request.param
