"""The native CPU kernel: PyTorch tensors in, PyTorch tensors out, around the C interface of csrc/.

Storage is float32 or bfloat16; coordinates, weights and all sums are float32.
"""

from __future__ import annotations

import ctypes
import os

import torch
from torch import Tensor

from relforge.kernels.msda.library import Call, load
from relforge.kernels.msda.shapes import Problem

STORAGE = {torch.float32: 0, torch.bfloat16: 1}
LAYOUTS = {"auto": 0, "direct": 1, "packed": 2}
LAYOUT_VARIABLE = "RELFORGE_MSDA_LAYOUT"


def as_contiguous(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """`tensor` as the C code reads it: contiguous, of the given dtype."""
    if tensor.dtype == dtype and tensor.is_contiguous():  # the usual case; saves three calls of PyTorch
        return tensor
    return tensor.detach().to(dtype).contiguous()


def run(name: str, problem: Problem, value: Tensor, tensors: dict[str, Tensor | None]) -> None:
    """Call `rf_msda_<name>` on contiguous CPU tensors, given by their field names in `rf_call`.

    Raises:
        MemoryError: the work buffers (a few MB per thread) could not be allocated.
        RuntimeError: the sizes are beyond the kernel's limits.
        ValueError: RELFORGE_MSDA_LAYOUT names no layout, or one that cannot run this call.
    """
    layout = os.environ.get(LAYOUT_VARIABLE, "auto")
    if layout not in LAYOUTS:
        raise ValueError(f"{LAYOUT_VARIABLE}={layout} is no layout; choose one of {', '.join(LAYOUTS)}")
    sides = [side for level in problem.levels for side in level]
    shapes = (ctypes.c_int64 * len(sides))(*sides)
    reference = tensors.get("reference")
    call = Call(
        batch=problem.batch,
        tokens=problem.tokens,
        heads=problem.heads,
        channels=problem.channels,
        queries=problem.queries,
        levels=len(problem.levels),
        points=problem.points,
        shapes=ctypes.addressof(shapes),
        value=value.data_ptr(),
        reference_dim=0 if reference is None else reference.shape[-1],
        storage=STORAGE[value.dtype],
        threads=torch.get_num_threads(),
        layout=LAYOUTS[layout],
    )
    for field, tensor in tensors.items():
        if tensor is not None:
            setattr(call, field, tensor.data_ptr())
    status = getattr(load(), f"rf_msda_{name}")(call)
    if status == 1:
        raise MemoryError(f"deformable attention on the CPU: no memory for the work buffers of {problem}")
    if status == 3:
        raise ValueError(
            f"{LAYOUT_VARIABLE}=direct takes no padding mask, no bfloat16 gradients and only whole vectors "
            f"of channels ({load().rf_isa().decode()}); unset it for {problem}"
        )
    if status:
        raise RuntimeError(
            f"deformable attention on the CPU takes at most 2^29 numbers per image and head; got {problem}"
        )


def forward(
    problem: Problem,
    value: Tensor,
    points: Tensor,
    weights: Tensor,
    reference: Tensor | None = None,
    padding_mask: Tensor | None = None,
) -> Tensor:
    """(B, Q, H * D) in the dtype of `value`; fused (offsets and logits) when `reference` is given."""
    value = as_contiguous(value, value.dtype)
    output = value.new_empty((problem.batch, problem.queries, problem.heads * problem.channels))
    tensors = input_fields(points, weights, reference, padding_mask)
    run("forward", problem, value, {**tensors, "output": output})
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
    value = as_contiguous(value, value.dtype)
    tensors = input_fields(points, weights, reference, padding_mask)
    gradients = {
        "grad_value": torch.empty_like(value),
        "grad_locations": torch.empty(points.shape, dtype=torch.float32),
        "grad_weights": torch.empty(weights.shape, dtype=torch.float32),
    }
    run(
        "backward",
        problem,
        value,
        {**tensors, **gradients, "grad_output": as_contiguous(grad_output, value.dtype)},
    )
    grad_value, grad_points, grad_weights = gradients.values()
    return grad_value, grad_points.to(points.dtype), grad_weights.to(weights.dtype)


def input_fields(
    points: Tensor, weights: Tensor, reference: Tensor | None, padding_mask: Tensor | None
) -> dict[str, Tensor | None]:
    """The inputs that both directions read, by their field names in `rf_call`."""
    return {
        "locations": as_contiguous(points, torch.float32),
        "weights": as_contiguous(weights, torch.float32),
        "reference": None if reference is None else as_contiguous(reference, torch.float32),
        "padding_mask": None if padding_mask is None else padding_mask.contiguous(),
    }
