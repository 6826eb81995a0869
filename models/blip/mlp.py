"""The two linear layers of a transformer block with the activation between them."""

from __future__ import annotations

from torch import Tensor

from relforge.models.blip.linear import Linear
from relforge.models.blip.norm import Norm


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
        # the hidden rows never leave the form in which the second product wants them
        affine, eps = (None, 0.0) if norm is None else ((norm.weight, norm.bias), norm.eps)
        return self.down.amx(self.up.amx.forward_packed(x, affine, eps, gelu=True), residual=residual)
