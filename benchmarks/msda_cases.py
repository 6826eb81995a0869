"""The sizes, inputs and contenders of benchmarks/msda.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relforge.kernels.msda import ms_deform_attn

PYRAMID = [[100, 134], [50, 67], [25, 34], [13, 17]]  # an 800 x 1066 image
SMALL = [[16, 16], [8, 8], [4, 4], [2, 2]]
CASES: list[dict[str, Any]] = [
    {"name": "encoder", "levels": PYRAMID, "sampling": "local"},
    {"name": "encoder", "levels": PYRAMID, "sampling": "uniform"},
    {"name": "decoder", "levels": PYRAMID, "queries": 200, "sampling": "uniform"},
    {"name": "small encoder", "levels": SMALL, "heads": 4, "channels": 16, "sampling": "local"},
    {"name": "small decoder", "levels": SMALL, "heads": 4, "channels": 16, "queries": 20},
]
"""Fields: name, levels (rows, columns); queries (default: every pixel), batch 1, heads 8, channels 32 a head,
points 4, sampling `local` (around each pixel, as trained encoders sample) or `uniform` (5 % outside)."""

Function = Callable[[Tensor, Tensor, Tensor], Tensor]


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
    def gathered_bytes(self) -> int:
        """Numbers of `value` that the definition reads, in float32: 4 corners of every sample."""
        return self.weights.numel() * 4 * self.value.shape[-1] * 4

    @property
    def compulsory_bytes(self) -> int:
        """Every input read once and the output written once."""
        tensors = (self.value, self.locations, self.weights, self.grad_output)
        return sum(tensor.numel() for tensor in tensors) * 4

    @property
    def flops(self) -> int:
        """Of the weighted sum: a multiplication and an addition per gathered number."""
        return self.gathered_bytes // 2


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


def ours(problem: Problem, kernel: str = "auto") -> Function:
    """relforge's operator."""
    shapes = torch.tensor(problem.levels)
    return lambda value, locations, weights: ms_deform_attn(value, shapes, locations, weights, kernel=kernel)


def grid_sample(problem: Problem) -> Function:
    """The reference of Hugging Face's Deformable DETR."""
    from transformers.models.deformable_detr.modeling_deformable_detr import MultiScaleDeformableAttention

    module, levels = MultiScaleDeformableAttention(), [tuple(level) for level in problem.levels]
    shapes = torch.tensor(levels)
    starts = torch.zeros(len(levels), dtype=torch.int64)
    return lambda value, locations, weights: module(value, shapes, levels, starts, locations, weights, 64)


def original_cuda(problem: Problem) -> Function:
    """The compiled extension of Deformable DETR, where it is installed (float32 only)."""
    import MultiScaleDeformableAttention as extension

    device = problem.value.device
    shapes = torch.tensor(problem.levels, device=device)
    sizes = shapes.prod(1)
    starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)[:-1]])

    class Operator(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Tensor) -> Tensor:
            ctx.save_for_backward(*tensors)
            value, locations, weights = tensors
            return extension.ms_deform_attn_forward(value, shapes, starts, locations, weights, 64)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Any:
            value, locations, weights = ctx.saved_tensors
            return extension.ms_deform_attn_backward(
                value, shapes, starts, locations, weights, grads[0].contiguous(), 64
            )

    return Operator.apply


def msda_triton(problem: Problem) -> Function:
    """The msda-triton package, where it is installed."""
    from msda_triton import multiscale_deformable_attention as operator

    shapes = torch.tensor(problem.levels, device=problem.value.device)
    return lambda value, locations, weights: operator(
        value, shapes, locations, weights, "zeros", False
    ).flatten(2)


PEERS: dict[str, Callable[[Problem], Function]] = {
    "grid_sample": grid_sample,
    "torch.compile of grid_sample": lambda problem: torch.compile(grid_sample(problem)),
    "original CUDA op": original_cuda,
    "msda-triton": msda_triton,
}
"""Peers; one that is not installed, or does not agree with the twin, is left out with a note."""
