"""Factors of the loss of rare predicates (Iterative SGG, NeurIPS 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reweighting:
    """Where a predicate holds, its loss counts max((alpha / share)^beta, 1) times.

    Args:
        alpha: share of all relations below which a predicate counts more; published 0.07.
        beta: how steeply; published 0.75. 0: all count alike.

    Raises:
        ValueError: a negative number.
    """

    alpha: float = 0.07
    beta: float = 0.75

    def __post_init__(self) -> None:
        if self.alpha < 0 or self.beta < 0:
            raise ValueError(
                f"assign.reweight: alpha {self.alpha} and beta {self.beta} must be 0 or more; "
                "leave reweight out to weigh all predicates alike"
            )

    def factors(self, counts: Mapping[str, int]) -> dict[str, float]:
        """Factor of every predicate, from how often each occurs."""
        total = max(1, sum(counts.values()))
        return {
            name: max((self.alpha / (count / total + 1e-5)) ** 0.5, 1.0) ** (2 * self.beta)
            for name, count in counts.items()
        }
