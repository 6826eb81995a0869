"""Which predicate queries of an image are trained for which target, and what follows for their pairs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relforge.models.training.target_parts import TargetParts


@dataclass(frozen=True)
class Match:
    """The m matches of one image in one decoder layer; tensors are on the CPU.

    Args:
        queries: m predicate queries, ascending.
        targets: m rows of the image's targets; one may occur several times.
        columns: m x R, the relation labels that the query is trained on.
        costs: m, without any penalty.
        found, repeats: how many targets there are, and how many with their repeats.
        foreign: matches whose query is of another group.
    """

    queries: Tensor
    targets: Tensor
    columns: Tensor
    costs: Tensor
    found: int = 0
    repeats: int = 0
    foreign: int = 0

    @classmethod
    def empty(cls, parts: TargetParts) -> Match:
        """Of an image without targets."""
        none = torch.zeros(0, dtype=torch.long)
        return cls(none, none, parts.columns, torch.zeros(0))

    def __len__(self) -> int:
        return len(self.queries)

    def pairs_of(self, copies: int) -> int:
        """Pairs of which a predicate query is matched."""
        return len((self.queries // copies).unique())


def assign_pairs(match: Match, copies: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pair queries, ascending, and the target of each: the cheapest of its predicate queries.

    A pair whose predicate queries are matched to different targets must not learn two classes at once.
    """
    pairs = match.queries // copies
    order = match.costs.argsort(stable=True)
    order = order[pairs[order].argsort(stable=True)]  # by pair, then by cost
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = pairs[order][1:] != pairs[order][:-1]
    chosen = order[first]
    return pairs[chosen].to(device), match.targets[chosen].to(device)
