"""Layer norm, linear layer and MLP; a linear layer's weights are packed once for this CPU."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.activations import ACT2FN

from relforge.kernels.amx.library import Precision
from relforge.kernels.amx.linear import AmxLinear

_SMALL = 1 << 18
"""Weights with fewer elements stay in cache unpacked and gain nothing from torch's packing."""


class Norm(NamedTuple):
    """Layer norm over the last axis.

    Args:
        weight, bias: width.
        eps: added to the variance.
    """

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """... x width -> ... x width."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class Linear:
    """y = act(norm(x)) W^T + b + residual, always over the same number of rows.

    Packing the weights on every call costs as much as the GEMM itself at a captioner's 10 to 120 rows. What
    packs and multiplies them depends on the processor alone, never on a timing, so that every worker of
    one machine type computes the same bits.

    Args:
        weight: out x in.
        bias: out.
        rows: rows of every `x` to come; torch's arithmetic is tuned to it and other counts are refused.
        amx: see `Arithmetic`.
    """

    def __init__(self, weight: Tensor, bias: Tensor, rows: int, amx: Precision | None = None) -> None:
        self.rows = rows
        self.bias = bias
        if amx is not None:
            self.kind = "amx"
            self.amx = AmxLinear(weight, bias, amx)
            return
        self.kind = choose_packing() if _can_pack(weight) else "plain"
        if self.kind == "mkl":
            self.packed = torch.ops.mkl._mkl_reorder_linear_weight(weight.contiguous(), rows)
            # the op reads only the size of this one: the unpacked weight need not stay in memory
            self.weight = torch.zeros(1).expand(weight.shape)
        elif self.kind == "onednn":
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
        else:
            self.weight = weight.contiguous()

    def __call__(
        self, x: Tensor, norm: Norm | None = None, act: str | None = None, residual: Tensor | None = None
    ) -> Tensor:
        """rows x in -> rows x out.

        Args:
            norm: applied to `x` first.
            act: transformers' name of an activation, applied to `x` after the norm.
            residual: rows x out, added to the result.
        """
        if x.shape[0] != self.rows:
            raise ValueError(f"packed for {self.rows} rows, called with {x.shape[0]}")
        if self.kind == "amx":
            if act not in (None, "gelu"):
                x, norm, act = ACT2FN[act](norm(x) if norm else x), None, None
            affine, eps = (None, 0.0) if norm is None else ((norm.weight, norm.bias), norm.eps)
            return self.amx(x, affine, eps, act == "gelu", residual)
        if norm is not None:
            x = norm(x)
        if act is not None:
            x = ACT2FN[act](x)
        if self.kind == "mkl":
            out: Tensor = torch.ops.mkl._mkl_linear(x, self.packed, self.weight, self.bias, self.rows)
        elif self.kind == "onednn":
            out = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        else:
            out = F.linear(x, self.weight, self.bias)
        return out if residual is None else out.add_(residual)


class Mlp:
    """down(act(up(norm(x)))) + residual.

    Args:
        act: transformers' name of the activation.
    """

    def __init__(self, up: Linear, down: Linear, act: str) -> None:
        self.up, self.down, self.act = up, down, act

    def __call__(self, x: Tensor, residual: Tensor, norm: Norm | None = None) -> Tensor:
        """rows x width, all of them."""
        if self.up.kind != "amx" or self.act != "gelu":
            return self.down(self.up(x, norm), act=self.act, residual=residual)
        # the hidden rows stay packed as the operands of the second GEMM
        affine, eps = (None, 0.0) if norm is None else ((norm.weight, norm.bias), norm.eps)
        return self.down.amx(self.up.amx.forward_packed(x, affine, eps, gelu=True), residual=residual)


@cache
def choose_packing() -> str:
    """`mkl` on Intel (its AVX-512 path packs best there), `onednn` on other x86-64 and Arm, `plain` where
    torch has neither. Measured in benchmarks/results/caption.md."""
    if torch.backends.mkl.is_available() and hasattr(torch.ops.mkl, "_mkl_linear") and _intel():
        return "mkl"
    if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return "onednn"
    return "plain"


def _can_pack(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= _SMALL


def _intel() -> bool:
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
