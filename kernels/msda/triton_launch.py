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
MANY_QUERIES = 4096
"""Above it (an encoder) programs have four warps; below, one, so that a decoder's few queries reach more of
the GPU's processors."""
INT32 = 2**31
"""Numbers of an image from which on offsets into it take 64 bits."""

MAX_GRID = 65_535
"""Of CUDA, in the second dimension of a grid."""


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


@functools.cache
def level_table(levels: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    """(rows, columns, first pixel) of each level on the device.

    Kept for good, so that a call copies nothing: a table is 12 bytes a level, and datasets have hundreds (the
    5,000 images of COCO's val2017, 169).
    """
    table, start = [], 0
    for height, width in levels:
        table.append([height, width, start])
        start += height * width
    return torch.tensor(table, dtype=torch.int32, device=device)


def power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()


def block_and_warps(channels: int, itemsize: int, queries: int) -> tuple[int, int]:
    """Queries and warps of a program.

    A lane moves 16 bytes of a query's channels at a time, and each warp takes two queries a lane: enough
    loads in flight, few enough registers. Never more than 16 queries a warp (8 of 4-byte numbers): Triton
    then sees more threads than queries and computes what belongs to a query in each of its lanes, instead of
    moving it through shared memory (tests/kernels/msda/test_machine_code.py holds what comes of it).

    Args:
        channels: D.
        itemsize: bytes of a number that is read (`value`) or added to (its gradient: 4).
        queries: Q.
    """
    lanes = max(1, max(16, power_of_two(channels)) * itemsize // 16)
    warps = 4 if queries > MANY_QUERIES else 1
    return min(32 // itemsize, max(1, 64 // lanes)) * warps, warps


def constants(problem: Problem, block: int) -> dict[str, int | bool]:
    """The compile-time constants of both kernels that follow from the sizes."""
    return {
        "D": problem.channels,
        "D_2": max(16, power_of_two(problem.channels)),
        "L": len(problem.levels),
        "P": problem.points,
        "WIDE": problem.tokens * problem.heads * problem.channels >= INT32,
        "QUERIES": block,
    }


def backward_constants(problem: Problem) -> dict[str, int]:
    """Those of the backward kernel alone: sizes of its tiles of points."""
    channels, points = max(16, power_of_two(problem.channels)), problem.points
    return {
        "POINTS_2": power_of_two(len(problem.levels) * points),
        "SLOTS": max(channels, power_of_two(2 * points)),
    }


def launch(
    kernel: Any,
    problem: Problem,
    tensors: tuple[Tensor, ...],
    block: int,
    warps: int,
    **flags: Any,
) -> None:
    """Run a kernel over all queries of all (batch, head) pairs, `block` queries a program of `warps` warps.

    Raises:
        LaunchFailed: compilation or launch failed.
        torch.OutOfMemoryError: as PyTorch raises it.
    """
    device = tensors[0].device
    grid = ((problem.queries + block - 1) // block, problem.batch * problem.heads)
    if 0 in grid:
        return
    if grid[1] > MAX_GRID:
        raise LaunchFailed(
            f"deformable attention on a GPU takes at most {MAX_GRID:,} images x heads at once; "
            f"got {problem.batch:,} x {problem.heads}: use a smaller batch, or RELFORGE_MSDA=reference"
        )
    try:
        with torch.cuda.device(device) if device.type == "cuda" else torch.no_grad():
            kernel[grid](
                *tensors,
                problem.queries,
                problem.tokens,
                problem.heads,
                **constants(problem, block),
                **flags,
                num_warps=warps,
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
    shape: tuple[int, int] | None = None,
    clamped: bool = False,
) -> Tensor:
    """(B, Q, H * D) in the dtype of `value`; fused (offsets and logits) when `reference` is given.

    For benchmarks: `shape` is (queries, warps) of a program instead of those of `block_and_warps`; `clamped`
    reads the border with weight zero where a corner is outside, which a border that is not finite turns into
    NaN.
    """
    tensors, flags = arguments(problem, value, points, weights, reference, padding_mask)
    output = value.new_empty((problem.batch, problem.queries, problem.heads * problem.channels))
    block, warps = shape or block_and_warps(problem.channels, value.element_size(), problem.queries)
    launch(kernels()[0], problem, (*tensors, output), block, warps, CLAMPED=clamped, **flags)
    return output


def backward(
    problem: Problem,
    grad_output: Tensor,
    value: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None = None,
    padding_mask: Tensor | None = None,
    shape: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of value, points and weights, each in the dtype of what it belongs to; `shape` as in
    `forward`."""
    tensors, flags = arguments(problem, value, points, weights, reference, padding_mask)
    float32 = {"dtype": torch.float32, "device": value.device}
    grad_value = torch.zeros(value.shape, **float32)
    grad_points, grad_weights = torch.empty(points.shape, **float32), torch.empty(weights.shape, **float32)
    outputs = (grad_output.contiguous(), grad_value, grad_points, grad_weights)
    flags |= backward_constants(problem)
    block, warps = shape or block_and_warps(problem.channels, 4, problem.queries)
    launch(kernels()[1], problem, (*tensors, *outputs), block, warps, **flags)
    return grad_value.to(value.dtype), grad_points.to(points.dtype), grad_weights.to(weights.dtype)
