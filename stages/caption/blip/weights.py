"""Picks the tensors of a state dict, moved to the device and packed into layers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from relforge.stages.caption.blip.linear import Linear


class Weights:
    """A state dict seen from one device.

    Args:
        state: tensors under transformers' names.
        rows: rows every linear layer taken from here will be called with.
    """

    def __init__(
        self, state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype, rows: int
    ) -> None:
        self.state = state
        self.device = device
        self.dtype = dtype
        self.rows = rows

    def tensor(self, name: str) -> Tensor:
        return self.state[name].to(self.device, self.dtype)

    def norm(self, name: str) -> tuple[Tensor, Tensor]:
        """(weight, bias) of a layer norm."""
        return self.tensor(name + ".weight"), self.tensor(name + ".bias")

    def linear(self, *names: str) -> Linear:
        """One layer, or several with the same input side by side as one product."""
        weight = torch.cat([self.tensor(name + ".weight") for name in names])
        return Linear(weight, torch.cat([self.tensor(name + ".bias") for name in names]), self.rows)
