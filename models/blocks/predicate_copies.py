"""Several predicate queries for every pair query (SpeaQ, CVPR 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SPREAD = 0.02
"""Standard deviation of the learned difference between the copies at the start."""


class PredicateCopies(nn.Module):
    """Repeats what the relation decoder starts from; copies of a pair stand next to each other.

    The first copy starts as it is, so that a model without copies goes on where it was; the others start a
    little apart, or they would stay equal for ever.

    Args:
        dim: width of the model.
        count: predicate queries of a pair.
    """

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.difference = nn.Embedding(count, dim)
        nn.init.normal_(self.difference.weight, std=SPREAD)
        with torch.no_grad():
            self.difference.weight[0] = 0

    def forward(self, content: Tensor) -> Tensor:
        """Contents N x P x dim of pairs as contents N x (P * count) x dim, each copy with its difference."""
        return self.repeat(content) + self.difference.weight.repeat(content.shape[1], 1)

    def repeat(self, values: Tensor) -> Tensor:
        """N x P x ... of pairs as N x (P * count) x ... of their copies."""
        return values.repeat_interleave(self.count, 1)


def predicate_copies(dim: int, count: int) -> PredicateCopies | None:
    """None for one predicate query a pair: such models have no weights of this.

    Raises:
        ValueError: fewer than one.
    """
    if count < 1:
        raise ValueError(f"predicate_copies: a pair needs 1 predicate query at least, not {count}")
    return PredicateCopies(dim, count) if count > 1 else None
