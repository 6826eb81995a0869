"""A fixed small case that every tagging job runs before it uses a kernel.

The published CUDA operator printed a launch error and returned zeros, and trainings ran on them for days.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from relforge.kernels.msda.dispatch import choose
from relforge.kernels.msda.functional import ms_deform_attn_fused
from relforge.kernels.msda.module import MSDeformAttn
from relforge.kernels.msda.reference import ms_deform_attn_fused_reference
from relforge.kernels.self_test import SelfTestFailed

LEVELS = [(7, 9), (4, 5), (2, 3), (1, 1)]
TOLERANCE = {torch.float32: 2e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2, torch.float64: 1e-10}
"""Largest difference from the float64 reference, relative to the largest number of each compared tensor."""


MANY_QUERIES = 4097
"""On a GPU programs of an encoder's many queries are others than those of a decoder's few."""


class Use(NamedTuple):
    """One way in which a model calls the operator: on a GPU each has machine code of its own."""

    channels: int = 32  # per head
    points: int = 4  # per level
    levels: int = 4
    boxes: bool = False  # reference boxes instead of points
    masked: bool = True  # with a padding mask
    offsets: torch.dtype = torch.float32  # of offsets and logits
    queries: int = 6


class SelfTest(NamedTuple):
    """Which kernel ran and how far it was from the reference."""

    kernel: str
    device: str
    dtype: str
    worst: float  # largest relative difference over the output and the gradients
    tolerance: float


def uses_of(model: nn.Module, device: str, dtype: torch.dtype) -> list[Use]:
    """How the deformable attention of a model is called: its channels, points and levels; points and boxes;
    padded batches and others; offsets in the dtype that autocast to `dtype` gives them."""
    offsets = dtype if dtype in (torch.bfloat16, torch.float16) else torch.float32
    modules = [module for module in model.modules() if isinstance(module, MSDeformAttn)]
    sizes = sorted(
        {(module.d_model // module.n_heads, module.n_points, module.n_levels) for module in modules}
    )
    kinds = [(boxes, 6) for boxes in (False, True)]
    kinds += [(False, MANY_QUERIES)] if torch.device(device).type == "cuda" else []
    return [
        Use(*size, boxes, masked, offsets, queries)
        for size in sizes
        for boxes, queries in kinds
        for masked in (False, True)
    ]


def self_test(
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    kernel: str = "auto",
    gradients: bool = True,
    uses: Sequence[Use] = (Use(),),
) -> SelfTest:
    """Compare the chosen kernel with the reference in float64, forward and (unless switched off) backward.

    Args:
        device: where to run, `cpu` or `cuda` (or `cuda:1` ...).
        dtype: storage of `value`.
        kernel: see `relforge.kernels.msda.dispatch`.
        gradients: also check the backward kernel.
        uses: what to run; `uses_of(model, ...)` are those of a model.

    Raises:
        SelfTestFailed: the kernel disagrees with the reference, or returns NaN.
        KernelUnavailable: a forced kernel cannot run here.
    """
    chosen = choose(torch.device(device).type, dtype, kernel)
    tolerance = TOLERANCE[dtype]
    largest = 0.0
    for use in uses:
        found = difference(device, dtype, chosen, gradients, use)
        if not found <= tolerance:
            raise SelfTestFailed(
                f"deformable attention kernel {chosen!r} on {device} ({dtype}) is off by {found:.2g} "
                f"(at most {tolerance:.2g} is allowed; {use}): its results cannot be trusted here. "
                f"Run with RELFORGE_MSDA=reference, and please report this machine."
            )
        largest = max(largest, found)
    return SelfTest(chosen, device, str(dtype).removeprefix("torch."), largest, tolerance)


def difference(device: str, dtype: torch.dtype, kernel: str, gradients: bool, use: Use) -> float:
    """Largest difference of one use from the reference in float64, relative to the largest number of each
    compared tensor; infinite where a number is NaN."""
    levels = (LEVELS * use.levels)[: use.levels]
    generator = torch.Generator().manual_seed(20231)
    tokens = sum(height * width for height, width in levels)
    sampled = (2, use.queries, 2, use.levels, use.points)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float32)

    value = (uniform(2, tokens, 2, use.channels) - 0.5).to(dtype)
    reference = uniform(2, use.queries, use.levels, 4 if use.boxes else 2) * 1.2 - 0.1
    offsets, logits = (4 * uniform(*sampled, 2) - 2).to(use.offsets), (3 * uniform(*sampled)).to(use.offsets)
    grad_output = (uniform(2, use.queries, 2 * use.channels) - 0.5).to(dtype)
    mask = uniform(2, tokens) < 0.1 if use.masked else None

    def run(target: str, exact: bool) -> list[Tensor]:
        leaves = [t.to(target, torch.float64 if exact else t.dtype) for t in (value, offsets, logits)]
        v, o, w = (leaf.requires_grad_(gradients) for leaf in leaves)
        if exact:
            output = ms_deform_attn_fused_reference(v, levels, reference.double(), o, w, mask)
        else:
            padding = None if mask is None else mask.to(target)
            output = ms_deform_attn_fused(v, levels, reference.to(target), o, w, padding, kernel=kernel)
        grads = torch.autograd.grad(output, leaves, grad_output.to(output)) if gradients else ()
        return [tensor.detach().to("cpu", torch.float64) for tensor in (output, *grads)]

    worst = 0.0
    for expected, computed in zip(run("cpu", True), run(device, False), strict=True):
        relative = (computed - expected).abs().max() / expected.abs().max()
        worst = max(worst, float(relative.nan_to_num(float("inf"))))
    return worst
