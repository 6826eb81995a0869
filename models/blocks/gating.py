"""Gates G(x) on what one modality adds to the other (RLIPv2, §4.1, Table 2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class ScaleGate(nn.Module):
    """A learned factor: one number (scalar) or one per channel (vector), tanh optional.

    Published checkpoints store a vector for both and read only its first entry for the scalar gate; so
    does this one, which keeps them loadable.

    Args:
        dim: channels.
        scalar: use `gamma[0]` for all channels (the paper's alpha) instead of the vector (its a).
        tanh: squash the factor (Flamingo).
        init: start value; 1 / number of levels, as published.
    """

    def __init__(self, dim: int, *, scalar: bool, tanh: bool, init: float = 0.25) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), init))
        self.scalar = scalar
        self.tanh = tanh

    def forward(self, x: Tensor) -> Tensor:
        factor = self.gamma[0] if self.scalar else self.gamma
        return (factor.tanh() if self.tanh else factor) * x


class SqueezeExciteGate(nn.Module):
    """Squeeze-and-excitation over the token axis with reduction 4 (the paper's SE); tanh optional.

    Args:
        dim: channels.
        tanh: squash the gated features.
    """

    def __init__(self, dim: int, *, tanh: bool) -> None:
        super().__init__()
        self.squeeze = nn.Linear(dim, dim // 4)
        self.excite = nn.Linear(dim // 4, dim)
        self.tanh = tanh

    def forward(self, x: Tensor) -> Tensor:
        """B x N x dim -> B x N x dim."""
        weight = self.excite(self.squeeze(x.mean(1, keepdim=True)).relu()).sigmoid()
        gated: Tensor = weight * x
        return gated.tanh() if self.tanh else gated


GATES: dict[str, Callable[[int], nn.Module]] = {
    "scalar": lambda dim: ScaleGate(dim, scalar=True, tanh=False),
    "scalar_tanh": lambda dim: ScaleGate(dim, scalar=True, tanh=True),
    "vector": lambda dim: ScaleGate(dim, scalar=False, tanh=False),
    "vector_tanh": lambda dim: ScaleGate(dim, scalar=False, tanh=True),
    "squeeze_excite": lambda dim: SqueezeExciteGate(dim, tanh=False),
    "squeeze_excite_tanh": lambda dim: SqueezeExciteGate(dim, tanh=True),
    "none": lambda dim: nn.Identity(),
}
"""Gate by name. Published flags: GLIP = vector, VXAc = scalar, Vtanh = scalar_tanh, Etanh = vector_tanh."""
