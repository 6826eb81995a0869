"""The state of an ordered pair: what distinguishes "dog chasing cat" from "cat chasing dog"."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relforge.models.blocks.layers import MLP


class OrderedPair(nn.Module):
    """Subject and object side by side, through one hidden layer.

    The published R-Tagger adds the two, and uses the sum only to steer attention: a pair and its reverse then
    score alike, and the classes of the entities never reach the relation query.

    Args:
        dim: width of both inputs and of the output.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix = MLP(2 * dim, dim, dim)

    def forward(self, subjects: Tensor, objects: Tensor) -> Tensor:
        """N x P x dim of subjects and objects, each N x P x dim."""
        return self.mix(torch.cat([subjects, objects], -1))
