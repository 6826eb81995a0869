"""What benchmarks/msda.py compares: relforge's operator and its peers, each with the tensors it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from msda_cases import Problem
from torch import Tensor

from relforge.kernels.msda.functional import ms_deform_attn, ms_deform_attn_fused

Passes = dict[str, Callable[[], Any]]


@dataclass
class Implementation:
    """One implementation, ready to run: `operator(*tensors)` is (B, Q, H * D).

    Args:
        tensors: floating, in the layout and dtype it works on, converted beforehand and not timed; gradients
            are taken for all of them.
        tolerance: how far it may be from ours in float32, as a root mean square relative to ours.
    """

    operator: Callable[..., Tensor]
    tensors: tuple[Tensor, ...]
    tolerance: float = 1e-4

    def passes(self, grad_output: Tensor) -> Passes:
        """The forward pass, and forward with backward, as things to call."""
        leaves = [tensor.clone().requires_grad_() for tensor in self.tensors]
        upstream = grad_output.to(self.tensors[0].dtype)

        def forward() -> Tensor:
            with torch.no_grad():
                return self.operator(*self.tensors)

        def both() -> tuple[Tensor, ...]:
            return torch.autograd.grad(self.operator(*leaves), leaves, upstream)

        return {"forward": forward, "forward+backward": both}


def standard_tensors(problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """The inputs of most implementations."""
    return problem.value, problem.locations, problem.weights


def level_tables(problem: Problem) -> tuple[Tensor, Tensor]:
    """(rows, columns) and first pixel of each level, on the problem's device."""
    shapes = torch.tensor(problem.levels, device=problem.value.device)
    sizes = shapes.prod(1)
    return shapes, torch.cat([sizes.new_zeros(1), sizes.cumsum(0)[:-1]])


def ours(problem: Problem, dtype: torch.dtype = torch.float32) -> Implementation:
    """relforge's operator; `dtype` is the storage of `value`."""
    shapes = torch.tensor(problem.levels)
    return Implementation(
        lambda value, locations, weights: ms_deform_attn(value, shapes, locations, weights),
        (problem.value.to(dtype), problem.locations, problem.weights),
    )


def fused(problem: Problem, dtype: torch.dtype) -> Implementation:
    """relforge's fused operator, all of it in `dtype`: offsets in pixels from the mean of a query's
    locations, and logits whose softmax gives the weights back."""
    sizes = torch.tensor([[width, height] for height, width in problem.levels], device=problem.value.device)
    reference = problem.locations.mean((2, 4)).contiguous()  # B x Q x L x 2
    offsets = (problem.locations - reference[:, :, None, :, None]) * sizes[:, None, :]
    return Implementation(
        lambda value, offsets, logits: ms_deform_attn_fused(
            value, problem.levels, reference, offsets, logits
        ),
        (problem.value.to(dtype), offsets.to(dtype), problem.weights.log().to(dtype)),
    )


def grid_sample(problem: Problem) -> Implementation:
    """The reference of Hugging Face's Deformable DETR."""
    from transformers.models.deformable_detr.modeling_deformable_detr import MultiScaleDeformableAttention

    module, levels = MultiScaleDeformableAttention(), [tuple(level) for level in problem.levels]
    shapes, starts = level_tables(problem)
    return Implementation(
        lambda value, locations, weights: module(value, shapes, levels, starts, locations, weights, 64),
        standard_tensors(problem),
    )


def compiled_grid_sample(problem: Problem) -> Implementation:
    """The same through torch.compile, for these sizes alone; after others it would compile for any size."""
    torch.compiler.reset()
    return Implementation(
        torch.compile(grid_sample(problem).operator, dynamic=False), standard_tensors(problem)
    )


def original_cuda(problem: Problem) -> Implementation:
    """The compiled extension of Deformable DETR (float32 only)."""
    import MultiScaleDeformableAttention as extension

    shapes, starts = level_tables(problem)

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

    return Implementation(Operator.apply, standard_tensors(problem))


def msda_triton(problem: Problem) -> Implementation:
    """The msda-triton package (float32)."""
    from msda_triton import multiscale_deformable_attention as operator

    shapes, _ = level_tables(problem)
    return Implementation(
        lambda value, locations, weights: operator(value, shapes, locations, weights, "zeros", False).flatten(
            2
        ),
        standard_tensors(problem),
    )


def deformops(problem: Problem, dtype: torch.dtype = torch.float32) -> Implementation:
    """The deformops package (3.0.1), which chooses its Triton or CUDA kernel; locations stay float32."""
    from deformops.registry import msda

    shapes, starts = level_tables(problem)
    return Implementation(
        lambda value, locations, weights: msda(value, shapes, starts, locations, weights),
        (problem.value.to(dtype), problem.locations, problem.weights.to(dtype)),
        1e-4 if dtype == torch.float32 else 1e-2,
    )


def flash(problem: Problem) -> Implementation:
    """FlashDeformAttn of the DCNv4 package (1.0.0): float16 throughout, softmax inside.

    It takes one tensor (B, Q, H, 3 L P): the x, y of all points, then their logits. Logits log(weight) give
    the weights back. Float16 locations are off by up to 0.03 pixels, hence the wide tolerance.
    """
    from DCNv4.functions import FlashDeformAttnFunction

    shapes, starts = level_tables(problem)
    points = problem.locations.shape[4]
    packed = torch.cat([problem.locations.flatten(3), problem.weights.flatten(3).log()], -1)
    return Implementation(
        lambda value, packed: FlashDeformAttnFunction.apply(value, shapes, starts, packed, 64, points),
        (problem.value.half(), packed.half()),
        5e-2,
    )


PEERS: dict[str, Callable[[Problem], Implementation]] = {
    "grid_sample": grid_sample,
    "torch.compile of grid_sample": compiled_grid_sample,
    "original CUDA op": original_cuda,
    "msda-triton": msda_triton,
    "deformops": deformops,
    "deformops bfloat16": lambda problem: deformops(problem, torch.bfloat16),
    "FlashDeformAttn float16": flash,
}
"""Peers; one that is not installed, or does not agree with ours, is left out with a note."""
RUN_ONCE = {"torch.compile of grid_sample"}
"""Slower than what it compiles, on a CPU many times: one turn is enough."""
CPU_PEERS = ["grid_sample", "torch.compile of grid_sample"]
