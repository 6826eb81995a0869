"""Random inputs of one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Case:
    """Inputs in float32."""

    shapes: Tensor  # L x 2
    value: Tensor  # B x S x H x D
    locations: Tensor  # B x Q x H x L x P x 2
    weights: Tensor  # B x Q x H x L x P
    grad_output: Tensor  # B x Q x HD

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The arguments of `ms_deform_attn`."""
        return self.value, self.shapes, self.locations, self.weights


def make_case(
    levels: Sequence[tuple[int, int]],
    batch: int = 2,
    heads: int = 2,
    channels: int = 32,
    queries: int = 5,
    points: int = 4,
    seed: int = 0,
    spread: float = 1.3,
) -> Case:
    """Locations are in a square `spread` times the image, so that some are outside."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    tokens = sum(height * width for height, width in levels)
    count = (batch, queries, heads, len(levels), points)
    return Case(
        torch.tensor(levels),
        uniform(batch, tokens, heads, channels) - 0.5,
        spread * (uniform(*count, 2) - 0.5) + 0.5,
        uniform(*count),
        uniform(batch, queries, heads * channels) - 0.5,
    )
