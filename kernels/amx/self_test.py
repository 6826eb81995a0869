"""A fixed small case, before AMX computes anything that counts."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from relforge.kernels.amx.attention import PackedKeys
from relforge.kernels.amx.library import VARIABLE, Precision
from relforge.kernels.amx.linear import AmxLinear
from relforge.kernels.self_test import SelfTestFailed

TOLERANCE = {"split": 1e-4, "bfloat16": 4e-2}
"""Largest difference from float64, relative to the largest number."""


@functools.cache
def self_test(precision: Precision = "split") -> float:
    """Compare two layers, with norm, GELU and residual, and an attention with torch in float64, once per
    process.

    Returns:
        the largest difference, relative to the largest number of its tensor.

    Raises:
        SelfTestFailed: it is above `TOLERANCE`, or a result is NaN.
        LibraryUnavailable: AMX is not available here.
    """
    generator = torch.Generator().manual_seed(20231)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    x, weight, bias, residual = normal(45, 1100), normal(50, 1100), normal(50), normal(45, 50)
    second, norm = normal(70, 50), (normal(1100), normal(1100))
    layers = AmxLinear(weight, bias, precision), AmxLinear(second, torch.zeros(70), precision)
    single = layers[0](x, norm=norm, gelu=True, residual=residual)
    chained = layers[1](layers[0].forward_packed(x, norm=norm, gelu=True))
    normed = F.layer_norm(x.double(), (1100,), *(tensor.double() for tensor in norm))
    exact = weight.double(), bias.double()
    pairs = [(single, F.linear(F.gelu(normed), *exact) + residual)]
    pairs.append((chained, F.linear(F.gelu(F.linear(normed, *exact)), second.double())))

    queries, keys, values = normal(35, 3, 24), normal(41, 3, 24), normal(41, 3, 24)
    cache = PackedKeys(1, 41, 3, 24, precision)
    cache.write(0, keys.flatten(1), values.flatten(1))
    expected = F.scaled_dot_product_attention(*(t.double().transpose(0, 1) for t in (queries, keys, values)))
    pairs.append((cache.attend(0, queries.flatten(1)), expected.transpose(0, 1).flatten(1)))

    worst = 0.0
    for computed, exact_result in pairs:
        difference = (computed - exact_result).abs().max() / exact_result.abs().max()
        worst = max(worst, float(difference.nan_to_num(float("inf"))))
    tolerance = TOLERANCE[precision]
    if not worst <= tolerance:
        raise SelfTestFailed(
            f"AMX with {precision} operands is off by {worst:.2g} on this processor (at most {tolerance:.2g} "
            f"is allowed): its results cannot be trusted here. Run with {VARIABLE}=torch, and please report "
            f"this machine."
        )
    return worst
