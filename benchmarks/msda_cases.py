"""The sizes and inputs of benchmarks/msda.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

PYRAMID = [[100, 134], [50, 67], [25, 34], [13, 17]]  # an 800 x 1066 image
SMALL = {"levels": [[16, 16], [8, 8], [4, 4], [2, 2]], "heads": 4, "channels": 16}  # the demo model
CASES: list[dict[str, Any]] = [
    {"name": "encoder", "levels": PYRAMID, "sampling": "local"},
    {"name": "encoder", "levels": PYRAMID, "sampling": "uniform"},
    {"name": "encoder", "levels": PYRAMID, "sampling": "local", "batch": 8, "repeats": 1},
    {"name": "decoder", "levels": PYRAMID, "queries": 200, "repeats": 15},
    {"name": "small encoder", **SMALL, "sampling": "local", "repeats": 15},
    {"name": "small decoder", **SMALL, "queries": 20, "repeats": 15},
]
"""Fields: name, levels (rows, columns); queries (default: every pixel), batch 1, heads 8, channels 32 a head,
points 4, sampling `local` (around each pixel, as trained encoders sample) or `uniform` (5 % outside), repeats
(runs of each peer). The peer's gradients take 8 GB at batch 8."""


@dataclass
class Problem:
    """One case with its tensors."""

    title: str
    levels: list[list[int]]
    value: Tensor  # B x S x H x D
    locations: Tensor  # B x Q x H x L x P x 2
    weights: Tensor  # B x Q x H x L x P
    grad_output: Tensor  # B x Q x HD

    @property
    def gathered(self) -> int:
        """Numbers of `value` that the definition reads: 4 corners of every sample."""
        return self.weights.numel() * 4 * self.value.shape[-1]

    def compulsory_bytes(self, storage: int) -> int:
        """Every input read once (of `value`, no more than is gathered) and the output written once.

        `storage` is the bytes of a number of `value` and output; locations and weights are float32.
        """
        stored = min(self.value.numel(), self.gathered) + self.grad_output.numel()
        return stored * storage + (self.locations.numel() + self.weights.numel()) * 4

    @property
    def flops(self) -> int:
        """Of the weighted sum: a multiplication and an addition per gathered number."""
        return 2 * self.gathered


def pixel_centres(levels: list[list[int]]) -> Tensor:
    """(S, 2): the normalised (x, y) of every pixel of every level."""
    grids = []
    for height, width in levels:
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        grids.append(torch.stack([x.flatten() / width, y.flatten() / height], -1))
    return torch.cat(grids)


def build(case: dict[str, Any], device: str = "cpu") -> Problem:
    """The tensors of a case, seeded."""
    generator = torch.Generator().manual_seed(0)
    levels = case["levels"]
    heads, channels, points = case.get("heads", 8), case.get("channels", 32), case.get("points", 4)
    batch, tokens = case.get("batch", 1), sum(height * width for height, width in levels)
    queries, sampling = case.get("queries") or tokens, case.get("sampling", "uniform")
    shape = (batch, queries, heads, len(levels), points)
    if sampling == "local":
        centres = pixel_centres(levels).repeat(math.ceil(queries / tokens), 1)[:queries]
        angles = torch.arange(heads) * (2 * math.pi / heads)
        directions = torch.stack([angles.cos(), angles.sin()], -1)[:, None, None, :]  # H x 1 x 1 x 2
        offsets = directions * torch.arange(1, points + 1)[None, None, :, None]
        offsets = offsets + 1.5 * torch.randn((*shape, 2), generator=generator)  # pixels
        sizes = torch.tensor([[width, height] for height, width in levels])[:, None, :]
        locations = centres[None, :, None, None, None, :] + offsets / sizes
    else:
        locations = torch.rand((*shape, 2), generator=generator) * 1.05
    logits = torch.randn(shape, generator=generator)
    return Problem(
        f"{case['name']} {sampling}, {queries} queries, batch {batch}",
        levels,
        torch.randn((batch, tokens, heads, channels), generator=generator).to(device),
        locations.contiguous().to(device),
        logits.flatten(3).softmax(-1).view(shape).to(device),
        torch.randn((batch, queries, heads * channels), generator=generator).to(device),
    )
