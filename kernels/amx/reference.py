"""What the tile unit computes, in PyTorch: the oracle of its tests. Sums are float64 here, float32 there."""

from __future__ import annotations

import torch
from torch import Tensor


def split(x: Tensor, parts: int) -> list[Tensor]:
    """`parts` bfloat16 tensors, the leading one first, whose sum is nearly the float32 `x`."""
    found = []
    for _ in range(parts):
        found.append(x.bfloat16())
        x = x - found[-1].float()
    return found


def product(a: Tensor, b: Tensor, parts: int) -> Tensor:
    """... x n x k times ... x k x m, float32, as float64: leading times leading and, with two parts, leading
    times trailing and trailing times leading; trailing times trailing is left out."""
    left, right = ([part.double() for part in split(x, parts)] for x in (a, b))
    total = left[0] @ right[0]
    return total if parts == 1 else total + left[0] @ right[1] + left[1] @ right[0]


def linear(x: Tensor, weight: Tensor, bias: Tensor, parts: int) -> Tensor:
    """`TiledLinear` on rows x in, as float64; what may stand before and after it is torch's own."""
    return product(x, weight.T, parts) + bias


def attention(q: Tensor, k: Tensor, v: Tensor, parts: int) -> Tensor:
    """`TiledKeys` on heads x queries x width, heads x keys x width (twice), as float64."""
    scores = product(q * q.shape[-1] ** -0.5, k.transpose(-1, -2), parts)
    weights = (scores - scores.amax(-1, keepdim=True)).exp().float()
    return product(weights, v, parts) / weights.double().sum(-1, keepdim=True)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest difference by the root mean square of what was expected; infinite where NaN."""
    difference = (found - expected).abs().max() / expected.double().square().mean().sqrt()
    return float(torch.nan_to_num(difference, nan=float("inf")))
