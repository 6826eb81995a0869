"""A linear layer on the tile unit, with its weights packed once."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from relforge.kernels.amx.library import (
    LinearCall,
    Precision,
    dense,
    load,
    memory,
    parts_of,
    scratch,
)


class PackedRows(NamedTuple):
    """Rows that a layer left as operands of the next one's product."""

    memory: Tensor
    rows: int
    width: int
    parts: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.width


class TiledLinear:
    """y = act(norm(x)) W^T + b + residual, in float32.

    Args:
        weight: out x in.
        bias: out.
        precision: `split` (each operand as two bfloat16s, see the package) or `bfloat16` (operands rounded;
            sums stay float32).

    Raises:
        LibraryUnavailable: no tile unit or no library here; ask `library.why_unavailable` before.
        ValueError: another precision, dtype or size.
    """

    def __init__(self, weight: Tensor, bias: Tensor, precision: Precision = "split") -> None:
        self.outside, self.inside = weight.shape
        self.parts = parts_of(precision)
        self.bias = _of_size("bias", bias, self.outside)
        library = load()
        self.weight = memory(library.rf_weight_bytes(self.outside, self.inside, self.parts))
        sizes = self.outside, self.inside, self.parts
        library.rf_pack_weight(dense(weight).data_ptr(), *sizes, self.weight.data_ptr())

    def __call__(
        self,
        x: Tensor | PackedRows,
        norm: tuple[Tensor, Tensor] | None = None,
        eps: float = 1e-5,
        gelu: bool = False,
        residual: Tensor | None = None,
    ) -> Tensor:
        """rows x in -> rows x out, float32.

        Args:
            x: float32; or what `packed` of another layer of this precision gave, then without norm and GELU.
            norm: weight and bias (both in) of a layer norm applied to `x` first.
            eps: of that norm.
            gelu: apply the exact (error function) GELU to `x`, after the norm.
            residual: rows x out, added to the result.

        Raises:
            ValueError: other sizes, dtypes or precisions.
        """
        rows = x.shape[0]
        if residual is not None and residual.shape != (rows, self.outside):
            raise ValueError(f"residual is {tuple(residual.shape)}, expected {(rows, self.outside)}")
        if isinstance(x, PackedRows) and (norm is not None or gelu):
            raise ValueError("packed rows take no norm and no GELU: they are operands already")
        y = torch.empty(rows, self.outside)
        self._run(x, norm, eps, gelu, residual, y=y)
        return y

    def packed(
        self, x: Tensor, norm: tuple[Tensor, Tensor] | None = None, eps: float = 1e-5, gelu: bool = False
    ) -> PackedRows:
        """act(norm(x) W^T + b), left as the operands of the next layer: that saves writing it out and reading
        it again. The activation stands behind the product here."""
        made = PackedRows(
            memory(load().rf_packed_rows(len(x), self.outside, self.parts)), len(x), self.outside, self.parts
        )
        self._run(x, norm, eps, gelu, None, pack=made.memory)
        return made

    def _run(
        self,
        x: Tensor | PackedRows,
        norm: tuple[Tensor, Tensor] | None,
        eps: float,
        gelu: bool,
        residual: Tensor | None,
        y: Tensor | None = None,
        pack: Tensor | None = None,
    ) -> None:
        if len(x.shape) != 2 or x.shape[1] != self.inside:
            raise ValueError(f"x is {tuple(x.shape)}, expected rows x {self.inside}")
        rows = x.shape[0]
        source: Tensor | None = None
        ready: Tensor | None = None
        if isinstance(x, PackedRows):
            if x.parts != self.parts:
                raise ValueError(f"rows packed in {x.parts} part(s) for a layer of {self.parts}")
            ready = x.memory
        else:
            source = dense(x)
        scale, shift = (_of_size("norm", t, self.inside) for t in norm) if norm else (None, None)
        residual = None if residual is None else dense(residual)
        library = load()
        room = scratch(library.rf_linear_scratch(rows, self.inside, self.outside, self.parts))
        call = LinearCall(
            rows=rows,
            inside=self.inside,
            outside=self.outside,
            parts=self.parts,
            x=_address(source),
            packed=_address(ready),
            weight=_address(self.weight),
            bias=_address(self.bias),
            scale=_address(scale),
            shift=_address(shift),
            eps=eps,
            gelu=gelu,
            residual=_address(residual),
            y=_address(y),
            pack=_address(pack),
            scratch=_address(room),
            threads=torch.get_num_threads(),
        )
        library.rf_linear_run(ctypes.byref(call))


def _of_size(name: str, tensor: Tensor, size: int) -> Tensor:
    if tensor.shape != (size,):
        raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {(size,)}")
    return dense(tensor)


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
