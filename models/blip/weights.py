"""Picks the tensors of a state dict, moved to the device and packed into layers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from relforge.models.blip.arithmetic import Arithmetic
from relforge.models.blip.layers import Linear, Norm


class Weights:
    """A state dict as layers on one device.

    Args:
        state: tensors under transformers' names.
        arithmetic: where tensors go and what computes their GEMMs.
        rows: rows every linear layer taken from here will be called with.
        eps: of every layer norm.
    """

    def __init__(self, state: Mapping[str, Tensor], arithmetic: Arithmetic, rows: int, eps: float) -> None:
        self.state, self.arithmetic, self.rows, self.eps = state, arithmetic, rows, eps

    def tensor(self, name: str) -> Tensor:
        return self.state[name].to(self.arithmetic.device, self.arithmetic.dtype)

    def norm(self, name: str) -> Norm:
        return Norm(self.tensor(name + ".weight"), self.tensor(name + ".bias"), self.eps)

    def linear(self, *names: str, rows: int | None = None) -> Linear:
        """One layer, or several with the same input side by side as one GEMM.

        Args:
            rows: another number than that of the other layers.
        """
        weight = torch.cat([self.tensor(name + ".weight").flatten(1) for name in names])
        bias = torch.cat([self.tensor(name + ".bias") for name in names])
        return Linear(weight, bias, self.rows if rows is None else rows, self.arithmetic.amx)
