"""The Triton kernels as functions of tensors, and whether they can run here.

On a GPU, or on the CPU under Triton's interpreter (`TRITON_INTERPRET=1`), which is how they are tested
without one.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from relforge.kernels.msda.shapes import Problem

MIN_CAPABILITY = (8, 0)
"""Minimum compute capability: bfloat16 arithmetic and the asynchronous loads that Triton emits."""
PROGRAM_SIZE = 2048
"""Numbers per program: queries x channels. 16 per thread of four warps."""
WARPS = 4


class LaunchFailed(RuntimeError):
    """The GPU refused a kernel; nothing was computed. The message gives its reason and how to avoid it."""


def interpreted() -> bool:
    """Whether Triton's interpreter replaces a GPU."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes")


def why_unavailable(device_type: str, dtype: torch.dtype) -> str | None:
    """Why the Triton kernels cannot run tensors of this device and dtype, or None."""
    if find_spec("triton") is None:
        return "Triton is not installed: pip install triton"
    if dtype not in (torch.float16, torch.bfloat16, torch.float32):
        return "it stores float16, bfloat16 or float32 only"
    if device_type == "cpu":
        return None if interpreted() else "it needs a GPU (or TRITON_INTERPRET=1, which is slow)"
    if device_type != "cuda" or not torch.cuda.is_available():
        return f"PyTorch finds no GPU for it ({device_type})"
    found = torch.cuda.get_device_capability()
    if torch.version.hip is None and found < MIN_CAPABILITY:
        name = torch.cuda.get_device_name()
        needed, present = (".".join(map(str, version)) for version in (MIN_CAPABILITY, found))
        return f"it needs compute capability {needed}; {name} has {present}"
    return None


@functools.lru_cache(maxsize=256)
def level_table(levels: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    """(rows, columns, first pixel) of each level on the device; cached, so that a call copies nothing."""
    table, start = [], 0
    for height, width in levels:
        table.append([height, width, start])
        start += height * width
    return torch.tensor(table, dtype=torch.int32, device=device)


def power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()


def launch(
    kernel: Any, problem: Problem, device: torch.device, tensors: tuple[Tensor, ...], **flags: Any
) -> None:
    """Run a kernel over all queries of all (batch, head) pairs.

    Raises:
        LaunchFailed: compilation or launch failed.
        torch.OutOfMemoryError: as PyTorch raises it.
    """
    channels = max(16, power_of_two(problem.channels))
    block = max(1, PROGRAM_SIZE // channels)
    grid = ((problem.queries + block - 1) // block, problem.batch * problem.heads)
    if 0 in grid:
        return
    n_points = len(problem.levels) * problem.points
    try:
        with torch.cuda.device(device) if device.type == "cuda" else torch.no_grad():
            kernel[grid](
                *tensors,
                problem.queries,
                problem.tokens,
                problem.heads,
                D=problem.channels,
                D_2=channels,
                L=len(problem.levels),
                P=problem.points,
                POINTS_2=power_of_two(n_points),
                QUERIES=block,
                num_warps=WARPS,
                **flags,
            )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise LaunchFailed(
            f"the Triton kernel for {problem} failed on {device}: {error}. RELFORGE_MSDA=reference avoids it"
        ) from error


def arguments(
    problem: Problem,
    value: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None,
    mask: Tensor | None,
) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """The kernels' common tensors, contiguous, and their flags; an absent one is replaced by another,
    which is not read."""
    tensors = (
        value.contiguous(),
        level_table(problem.levels, value.device),
        points.contiguous(),
        weights.contiguous(),
        points if reference is None else reference.contiguous(),
        weights if mask is None else mask.contiguous().view(torch.uint8),
    )
    flags = {"REFERENCE": 0 if reference is None else reference.shape[-1], "MASKED": mask is not None}
    return tensors, flags


def kernels() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The forward and the backward kernel; Triton is imported here, on first use."""
    from relforge.kernels.msda.triton_backward import backward_kernel
    from relforge.kernels.msda.triton_forward import forward_kernel

    return forward_kernel, backward_kernel


def forward(
    problem: Problem,
    value: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None = None,
    padding_mask: Tensor | None = None,
) -> Tensor:
    """(B, Q, H * D) in the dtype of `value`; fused (offsets and logits) when `reference` is given."""
    tensors, flags = arguments(problem, value, points, weights, reference, padding_mask)
    output = value.new_empty((problem.batch, problem.queries, problem.heads * problem.channels))
    launch(kernels()[0], problem, value.device, (*tensors, output), **flags)
    return output


def backward(
    problem: Problem,
    grad_output: Tensor,
    value: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None = None,
    padding_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of value, points and weights, each in the dtype of what it belongs to."""
    tensors, flags = arguments(problem, value, points, weights, reference, padding_mask)
    float32 = {"dtype": torch.float32, "device": value.device}
    grad_value = torch.zeros(value.shape, **float32)
    grad_points, grad_weights = torch.empty(points.shape, **float32), torch.empty(weights.shape, **float32)
    outputs = (grad_output.contiguous(), grad_value, grad_points, grad_weights)
    launch(kernels()[1], problem, value.device, (*tensors, *outputs), **flags)
    return grad_value.to(value.dtype), grad_points.to(points.dtype), grad_weights.to(weights.dtype)
