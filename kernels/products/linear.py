"""A linear layer on the tile unit, with its weights packed once."""

from __future__ import annotations

import ctypes
from typing import Literal

import torch
from torch import Tensor

from relforge.kernels.products.library import LinearCall, dense, load, memory, scratch


class TiledLinear:
    """y = act(norm(x)) W^T + b + residual, in float32.

    Args:
        weight: out x in.
        bias: out.
        precision: `split` (each operand as two bfloat16s, see the package) or `bfloat16` (operands rounded;
            sums stay float32).

    Raises:
        LibraryUnavailable: no tile unit or no library here; ask `library.why_unavailable` before.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, precision: Literal["split", "bfloat16"] = "split"
    ) -> None:
        self.outside, self.inside = weight.shape
        self.parts = 2 if precision == "split" else 1
        self.bias = dense(bias)
        library = load()
        self.packed = memory(library.rf_weight_bytes(self.outside, self.inside, self.parts))
        sizes = self.outside, self.inside, self.parts
        library.rf_pack_weight(dense(weight).data_ptr(), *sizes, self.packed.data_ptr())

    def __call__(
        self,
        x: Tensor,
        norm: tuple[Tensor, Tensor] | None = None,
        eps: float = 1e-5,
        gelu: bool = False,
        residual: Tensor | None = None,
    ) -> Tensor:
        """rows x in -> rows x out, float32.

        Args:
            norm: weight and bias (both in) of a layer norm applied to `x` first.
            eps: of that norm.
            gelu: apply the exact (error function) GELU to `x`, after the norm.
            residual: rows x out, added to the result.

        Raises:
            ValueError: other sizes or dtypes.
        """
        if x.ndim != 2 or x.shape[1] != self.inside:
            raise ValueError(f"x is {tuple(x.shape)}, expected rows x {self.inside}")
        if residual is not None and residual.shape != (len(x), self.outside):
            raise ValueError(f"residual is {tuple(residual.shape)}, expected {(len(x), self.outside)}")
        x = dense(x)
        scale, shift = (dense(t) for t in norm) if norm else (None, None)
        residual = None if residual is None else dense(residual)
        y = torch.empty(len(x), self.outside)
        library = load()
        room = scratch(library.rf_linear_scratch(len(x), self.inside, self.outside, self.parts))
        library.rf_linear_run(
            ctypes.byref(
                LinearCall(
                    rows=len(x),
                    inside=self.inside,
                    outside=self.outside,
                    parts=self.parts,
                    x=x.data_ptr(),
                    weight=self.packed.data_ptr(),
                    bias=self.bias.data_ptr(),
                    scale=None if scale is None else scale.data_ptr(),
                    shift=None if shift is None else shift.data_ptr(),
                    eps=eps,
                    gelu=gelu,
                    residual=None if residual is None else residual.data_ptr(),
                    y=y.data_ptr(),
                    scratch=room.data_ptr(),
                    threads=torch.get_num_threads(),
                )
            )
        )
        return y
