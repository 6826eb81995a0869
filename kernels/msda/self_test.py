"""A fixed small case that every tagging job runs before it uses a kernel.

The published CUDA operator printed a launch error and returned zeros, and trainings ran on them for days.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from relforge.kernels.msda.dispatch import choose
from relforge.kernels.msda.functional import ms_deform_attn_fused
from relforge.kernels.msda.reference import ms_deform_attn_fused_reference
from relforge.kernels.self_test import SelfTestFailed

LEVELS = [(7, 9), (4, 5), (2, 3), (1, 1)]
TOLERANCE = {torch.float32: 2e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2, torch.float64: 1e-10}
"""Largest difference from the float64 reference, relative to the largest number of each compared tensor."""


class SelfTest(NamedTuple):
    """Which kernel ran and how far it was from the reference."""

    kernel: str
    device: str
    dtype: str
    worst: float  # largest relative difference over the output and the gradients
    tolerance: float


def self_test(
    device: str = "cpu", dtype: torch.dtype = torch.float32, kernel: str = "auto", gradients: bool = True
) -> SelfTest:
    """Compare the chosen kernel with the reference in float64, forward and (unless switched off) backward.

    Args:
        device: where to run, `cpu` or `cuda` (or `cuda:1` ...).
        dtype: storage of `value`.
        kernel: see `relforge.kernels.msda.dispatch`.
        gradients: also check the backward kernel.

    Raises:
        SelfTestFailed: the kernel disagrees with the reference, or returns NaN.
        KernelUnavailable: a forced kernel cannot run here.
    """
    chosen = choose(torch.device(device).type, dtype, kernel)
    generator = torch.Generator().manual_seed(20231)
    tokens = sum(height * width for height, width in LEVELS)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float32)

    value = (uniform(2, tokens, 2, 32) - 0.5).to(dtype)
    reference, offsets = uniform(2, 6, 4, 2) * 1.2 - 0.1, 4 * uniform(2, 6, 2, 4, 4, 2) - 2
    logits, grad_output = 3 * uniform(2, 6, 2, 4, 4), (uniform(2, 6, 64) - 0.5).to(dtype)
    mask = uniform(2, tokens) < 0.1
    shapes = torch.tensor(LEVELS)

    def run(target: str, exact: bool) -> list[torch.Tensor]:
        leaves = [t.to(target, torch.float64 if exact else t.dtype) for t in (value, offsets, logits)]
        v, o, w = (leaf.requires_grad_(gradients) for leaf in leaves)
        points = reference.to(o)
        if exact:
            output = ms_deform_attn_fused_reference(v, shapes, points, o, w, mask)
        else:
            output = ms_deform_attn_fused(v, shapes, points, o, w, mask.to(target), kernel=chosen)
        grads = torch.autograd.grad(output, leaves, grad_output.to(output)) if gradients else ()
        return [tensor.detach().to("cpu", torch.float64) for tensor in (output, *grads)]

    worst = 0.0
    for expected, computed in zip(run("cpu", True), run(device, False), strict=True):
        difference = (computed - expected).abs().max() / expected.abs().max()
        worst = max(worst, float(difference.nan_to_num(float("inf"))))
    tolerance = TOLERANCE[dtype]
    if not worst <= tolerance:
        raise SelfTestFailed(
            f"deformable attention kernel {chosen!r} on {device} ({dtype}) is off by {worst:.2g} "
            f"(at most {tolerance:.2g} is allowed): its results cannot be trusted here. "
            f"Run with RELFORGE_MSDA=reference, and please report this machine."
        )
    return SelfTest(chosen, device, str(dtype).removeprefix("torch."), worst, tolerance)
