"""A linear layer on AMX, with its weights packed once."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from relforge.kernels.amx.library import (
    LinearCall,
    Precision,
    allocate,
    contiguous,
    load,
    scratch,
    split_parts,
)


class PackedRows(NamedTuple):
    """The output of one layer, packed as the input of the next one.

    Args:
        memory: the packed bytes.
        rows, width: of the matrix.
        parts: bfloat16s per number.
    """

    memory: Tensor
    rows: int
    width: int
    parts: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.width


class AmxLinear:
    """y = gelu(norm(x)) W^T + b + residual, in float32.

    Args:
        weight: out_features x in_features.
        bias: out_features.
        precision: `split` (each operand as two bfloat16s, see the package) or `bfloat16` (operands rounded;
            sums stay float32).

    Raises:
        LibraryUnavailable: no AMX or no library on this machine; see `library.why_unavailable`.
        ValueError: another precision, dtype or size.
    """

    def __init__(self, weight: Tensor, bias: Tensor, precision: Precision = "split") -> None:
        self.out_features, self.in_features = weight.shape
        self.parts = split_parts(precision)
        self.bias = _check_vector("bias", bias, self.out_features)
        library = load()
        sizes = self.out_features, self.in_features, self.parts
        self.weight = allocate(library.rf_weight_bytes(*sizes))
        library.rf_pack_weight(contiguous(weight).data_ptr(), *sizes, self.weight.data_ptr())

    def __call__(
        self,
        x: Tensor | PackedRows,
        norm: tuple[Tensor, Tensor] | None = None,
        eps: float = 1e-5,
        gelu: bool = False,
        residual: Tensor | None = None,
    ) -> Tensor:
        """rows x in_features -> rows x out_features, float32.

        Args:
            x: float32; or what `forward_packed` of another layer of this precision returned, then without
                norm and GELU.
            norm: weight and bias (both in_features) of a layer norm applied to `x` first.
            eps: of that norm.
            gelu: apply the exact (error function) GELU to `x`, after the norm.
            residual: rows x out_features, added to the result.

        Raises:
            ValueError: other sizes, dtypes or precisions.
        """
        rows = x.shape[0]
        if residual is not None and residual.shape != (rows, self.out_features):
            raise ValueError(f"residual is {tuple(residual.shape)}, expected {(rows, self.out_features)}")
        if isinstance(x, PackedRows) and (norm is not None or gelu):
            raise ValueError("packed rows take no norm and no GELU: they are packed after both")
        y = torch.empty(rows, self.out_features)
        self._run(x, norm, eps, gelu, residual, y=y)
        return y

    def forward_packed(
        self, x: Tensor, norm: tuple[Tensor, Tensor] | None = None, eps: float = 1e-5, gelu: bool = False
    ) -> PackedRows:
        """gelu(norm(x) W^T + b), packed as the next layer's input, which saves one write and one read of it.
        Here the activation comes after the linear map, as it is between the two layers of an MLP."""
        size = load().rf_packed_rows_bytes(len(x), self.out_features, self.parts)
        made = PackedRows(allocate(size), len(x), self.out_features, self.parts)
        self._run(x, norm, eps, gelu, None, packed_y=made.memory)
        return made

    def _run(
        self,
        x: Tensor | PackedRows,
        norm: tuple[Tensor, Tensor] | None,
        eps: float,
        gelu: bool,
        residual: Tensor | None,
        y: Tensor | None = None,
        packed_y: Tensor | None = None,
    ) -> None:
        if len(x.shape) != 2 or x.shape[1] != self.in_features:
            raise ValueError(f"x is {tuple(x.shape)}, expected rows x {self.in_features}")
        rows = x.shape[0]
        plain_x: Tensor | None = None
        packed_x: Tensor | None = None
        if isinstance(x, PackedRows):
            if x.parts != self.parts:
                raise ValueError(f"rows packed in {x.parts} part(s) for a layer of {self.parts}")
            packed_x = x.memory
        else:
            plain_x = contiguous(x)
        scale, shift = (_check_vector("norm", t, self.in_features) for t in norm) if norm else (None, None)
        residual = None if residual is None else contiguous(residual)
        library = load()
        work = scratch(library.rf_linear_scratch(rows, self.in_features, self.out_features, self.parts))
        call = LinearCall(
            rows=rows,
            in_features=self.in_features,
            out_features=self.out_features,
            parts=self.parts,
            x=_address(plain_x),
            packed_x=_address(packed_x),
            weight=_address(self.weight),
            bias=_address(self.bias),
            scale=_address(scale),
            shift=_address(shift),
            eps=eps,
            gelu=gelu,
            residual=_address(residual),
            y=_address(y),
            packed_y=_address(packed_y),
            scratch=_address(work),
            threads=torch.get_num_threads(),
        )
        library.rf_linear_run(ctypes.byref(call))


def _check_vector(name: str, tensor: Tensor, size: int) -> Tensor:
    if tensor.shape != (size,):
        raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {(size,)}")
    return contiguous(tensor)


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
