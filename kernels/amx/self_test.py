"""A fixed small case, before anything is trusted to the tile unit."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from relforge.kernels.amx.attention import TiledKeys
from relforge.kernels.amx.library import VARIABLE, Precision
from relforge.kernels.amx.linear import TiledLinear
from relforge.kernels.msda.self_test import SelfTestFailed

TOLERANCE = {"split": 1e-4, "bfloat16": 4e-2}
"""Largest difference from float64, relative to the largest number."""


@functools.cache
def self_test(precision: Precision = "split") -> float:
    """Compare two layers, with all that may stand around a product, and an attention with torch in float64,
    once per process.

    Returns:
        the largest difference seen, relative to the largest number of its tensor.

    Raises:
        SelfTestFailed: it is above `TOLERANCE`, or a result is NaN.
        LibraryUnavailable: there is nothing to test here.
    """
    generator = torch.Generator().manual_seed(20231)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    x, weight, bias, residual = normal(45, 1100), normal(50, 1100), normal(50), normal(45, 50)
    second, norm = normal(70, 50), (normal(1100), normal(1100))
    layers = TiledLinear(weight, bias, precision), TiledLinear(second, torch.zeros(70), precision)
    alone = layers[0](x, norm=norm, gelu=True, residual=residual)
    both = layers[1](layers[0].packed(x, norm=norm, gelu=True))
    normed = F.layer_norm(x.double(), (1100,), *(tensor.double() for tensor in norm))
    wide = weight.double(), bias.double()
    pairs = [(alone, F.linear(F.gelu(normed), *wide) + residual)]
    pairs.append((both, F.linear(F.gelu(F.linear(normed, *wide)), second.double())))

    queries, keys, values = normal(35, 3, 24), normal(41, 3, 24), normal(41, 3, 24)
    seen = TiledKeys(1, 41, 3, 24, precision)
    seen.put(0, keys.flatten(1), values.flatten(1))
    expected = F.scaled_dot_product_attention(*(t.double().transpose(0, 1) for t in (queries, keys, values)))
    pairs.append((seen.attend(0, queries.flatten(1)), expected.transpose(0, 1).flatten(1)))

    worst = 0.0
    for ours, theirs in pairs:
        difference = (ours - theirs).abs().max() / theirs.abs().max()
        worst = max(worst, float(difference.nan_to_num(float("inf"))))
    tolerance = TOLERANCE[precision]
    if not worst <= tolerance:
        raise SelfTestFailed(
            f"{precision} products on this processor's tile unit are off by {worst:.2g} (at most "
            f"{tolerance:.2g} is allowed): its results cannot be trusted here. Run with {VARIABLE}=torch, "
            f"and please report this machine."
        )
    return worst
