"""Which kernels this machine can test, and random problems to test them on."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from relforge.kernels.msda.dispatch import why_not
from relforge.kernels.msda.library import load


@dataclass
class Case:
    """Random inputs of one call, float32."""

    shapes: torch.Tensor  # L x 2
    value: torch.Tensor  # B x S x H x D
    locations: torch.Tensor  # B x Q x H x L x P x 2
    weights: torch.Tensor  # B x Q x H x L x P
    grad_output: torch.Tensor  # B x Q x HD


def make_case(levels, batch=2, heads=2, channels=32, queries=5, points=4, seed=0, spread=1.3):
    """Locations lie in a square `spread` times the image, so that some are outside."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(shape, generator=generator)

    tokens = sum(height * width for height, width in levels)
    count = (batch, queries, heads, len(levels), points)
    return Case(
        torch.tensor(levels),
        uniform(batch, tokens, heads, channels) - 0.5,
        spread * (uniform(*count, 2) - 0.5) + 0.5,
        uniform(*count),
        uniform(batch, queries, heads * channels) - 0.5,
    )


@pytest.fixture
def case():
    return make_case


@pytest.fixture(params=["reference", "cpu"])
def kernel(request):
    """Every kernel that takes float32 tensors on the CPU."""
    reason = why_not(request.param, "cpu", torch.float32)
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    return request.param


@pytest.fixture
def native():
    """The native library, or a skip that says why there is none."""
    reason = why_not("cpu", "cpu", torch.float32)
    if reason:
        pytest.skip(reason)
    return load()


@pytest.fixture(params=["avx512", "avx2", "portable"])
def isa(request, native):
    """Every instruction set that this processor has, one after the other."""
    if native.rf_use_isa(request.param.encode()):
        pytest.skip(f"this processor has no {request.param}")
    yield request.param
    native.rf_use_isa(None)
