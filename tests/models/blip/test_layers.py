"""Packed layers compute the plain GEMM, and a row's bits do not depend on the other rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F

from relforge.models.blip import layers
from relforge.models.blip.layers import Linear, Norm
from tests.fixtures.emulated_amx import amx_or_its_emulation

AVAILABLE = ["plain", "amx"]
if torch.backends.mkl.is_available() and hasattr(torch.ops.mkl, "_mkl_linear"):
    AVAILABLE.append("mkl")
if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
    AVAILABLE.append("onednn")


@pytest.fixture(params=AVAILABLE)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What multiplies: each way torch has here, and AMX or its emulation."""
    monkeypatch.setattr(layers, "choose_packing", lambda: request.param)
    with amx_or_its_emulation() if request.param == "amx" else nullcontext():
        yield request.param


@pytest.mark.parametrize(("rows", "inside", "outside"), [(64, 512, 768), (64, 1024, 300), (577, 256, 1024)])
def test_rows_are_right_and_independent(kind: str, rows: int, inside: int, outside: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias, x = (
        torch.randn(size, generator=generator) for size in ((outside, inside), (outside,), (rows, inside))
    )
    layer = Linear(weight, bias, rows, amx="split" if kind == "amx" else None)
    assert layer.kind == kind
    y = layer(x)
    assert torch.allclose(y, F.linear(x, weight, bias), atol=1e-3)
    for seed in range(3):
        generator.manual_seed(seed)
        place = torch.randperm(rows, generator=generator)[: rows // 2]
        other = 100 * torch.randn(rows, inside, generator=generator)
        other[place] = x[: rows // 2]
        assert torch.equal(layer(other)[place], y[: rows // 2])


def test_another_number_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="packed for 4 rows, called with 3"):
        Linear(torch.zeros(2, 2), torch.zeros(2), 4)(torch.zeros(3, 2))


@pytest.mark.parametrize("act", [None, "gelu", "relu"])
def test_norm_activation_and_residual_stand_where_they_should(kind: str, act: str | None) -> None:
    generator = torch.Generator().manual_seed(0)
    size = {"weight": (768, 512), "bias": (768,), "x": (64, 512), "scale": (512,), "residual": (64, 768)}
    weight, bias, x, scale, residual = (torch.randn(s, generator=generator) for s in size.values())
    norm = Norm(scale, scale, 1e-5)
    layer = Linear(weight, bias, 64, amx="split" if kind == "amx" else None)
    before = norm(x) if act is None else getattr(F, act)(norm(x))
    expected = F.linear(before, weight, bias) + residual
    assert torch.allclose(layer(x, norm, act, residual), expected, atol=3e-3)
