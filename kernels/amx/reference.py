"""What the AMX kernels compute, in PyTorch: the oracle of their tests. Sums are float64, theirs float32."""

from __future__ import annotations

import torch
from torch import Tensor


def split(x: Tensor, parts: int) -> list[Tensor]:
    """`parts` bfloat16 tensors, the leading one first, whose sum is nearly the float32 `x`."""
    pieces = []
    for _ in range(parts):
        pieces.append(x.bfloat16())
        x = x - pieces[-1].float()
    return pieces


def matmul(a: Tensor, b: Tensor, parts: int) -> Tensor:
    """... x n x k times ... x k x m, float32, as float64: leading times leading and, with two parts, leading
    times trailing and trailing times leading; trailing times trailing is left out."""
    left, right = ([part.double() for part in split(x, parts)] for x in (a, b))
    total = left[0] @ right[0]
    return total if parts == 1 else total + left[0] @ right[1] + left[1] @ right[0]


def linear(x: Tensor, weight: Tensor, bias: Tensor, parts: int) -> Tensor:
    """`AmxLinear` on rows x in_features, as float64, without norm, GELU and residual, which are torch's."""
    return matmul(x, weight.T, parts) + bias


def attention(q: Tensor, k: Tensor, v: Tensor, parts: int) -> Tensor:
    """`PackedKeys.attend` on heads x queries x width, heads x keys x width (twice), as float64."""
    scores = matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2), parts)
    weights = (scores - scores.amax(-1, keepdim=True)).exp().float()
    return matmul(weights, v, parts) / weights.double().sum(-1, keepdim=True)


def relative_error(computed: Tensor, expected: Tensor) -> float:
    """Largest difference by the root mean square of what was expected; infinite where NaN."""
    difference = (computed - expected).abs().max() / expected.double().square().mean().sqrt()
    return float(torch.nan_to_num(difference, nan=float("inf")))
