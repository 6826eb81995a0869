"""`relforge::msda_forward`, `relforge::msda_fused_forward` and their gradients, as operators of PyTorch.

Registered through `torch.library`, so autograd, `torch.compile` and autocast get ordinary operators while the
kernels depend on no PyTorch ABI. `spatial_shapes` are integers (`shapes.flatten`), not a tensor: inductor
captures no CUDA graph of what has inputs on the CPU. `kernel` is the name that `dispatch.choose` returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from relforge.kernels.msda import cpu, triton_launch
from relforge.kernels.msda.shapes import check, check_extras, unflatten

LIBRARY = torch.library.Library("relforge", "DEF")
POINTS = "Tensor value, int[] spatial_shapes, Tensor sampling_locations, Tensor attention_weights"
FUSED = (
    "Tensor value, int[] spatial_shapes, Tensor reference_points, Tensor sampling_offsets, "
    "Tensor attention_logits, Tensor? padding_mask"
)
SCHEMAS = {
    "msda_forward": f"({POINTS}, str kernel) -> Tensor",
    "msda_backward": f"(Tensor grad_output, {POINTS}, str kernel) -> (Tensor, Tensor, Tensor)",
    "msda_fused_forward": f"({FUSED}, str kernel) -> Tensor",
    "msda_fused_backward": f"(Tensor grad_output, {FUSED}, str kernel) -> (Tensor, Tensor, Tensor)",
}


def kernel_module(name: str) -> Any:
    """The module that implements a kernel, with `forward` and `backward`."""
    kernels = {"cpu": cpu, "triton": triton_launch}
    if name not in kernels:
        raise ValueError(f"no compiled kernel is called {name!r}; choose one of {', '.join(kernels)}")
    return kernels[name]


def forward(value: Tensor, shapes: list[int], points: Tensor, weights: Tensor, kernel: str) -> Tensor:
    return fused_forward(value, shapes, None, points, weights, None, kernel)


def backward(
    grad_output: Tensor, value: Tensor, shapes: list[int], points: Tensor, weights: Tensor, kernel: str
) -> tuple[Tensor, Tensor, Tensor]:
    return fused_backward(grad_output, value, shapes, None, points, weights, None, kernel)


def fused_forward(
    value: Tensor,
    shapes: list[int],
    reference: Tensor | None,
    offsets: Tensor,
    logits: Tensor,
    mask: Tensor | None,
    kernel: str,
) -> Tensor:
    """Without `reference`, `offsets` are locations and `logits` weights."""
    problem = check(value, unflatten(shapes), offsets, logits)
    if reference is not None:
        check_extras(problem, reference, mask)
    return kernel_module(kernel).forward(problem, value, offsets, logits, reference, mask)


def fused_backward(
    grad_output: Tensor,
    value: Tensor,
    shapes: list[int],
    reference: Tensor | None,
    offsets: Tensor,
    logits: Tensor,
    mask: Tensor | None,
    kernel: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `fused_forward`."""
    problem = check(value, unflatten(shapes), offsets, logits)
    if reference is not None:
        check_extras(problem, reference, mask)
    return kernel_module(kernel).backward(problem, grad_output, value, offsets, logits, reference, mask)


def fake_forward(value: Tensor, shapes: list[int], points: Tensor, weights: Tensor, kernel: str) -> Tensor:
    batch, _, heads, channels = value.shape
    return value.new_empty((batch, points.shape[1], heads * channels))


def fake_fused_forward(
    value: Tensor,
    shapes: list[int],
    reference: Tensor,
    offsets: Tensor,
    logits: Tensor,
    mask: Tensor | None,
    kernel: str,
) -> Tensor:
    return fake_forward(value, shapes, offsets, logits, kernel)


def empty_contiguous(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def fake_backward(
    grad_output: Tensor, value: Tensor, shapes: list[int], points: Tensor, weights: Tensor, kernel: str
) -> tuple[Tensor, Tensor, Tensor]:
    return empty_contiguous(value), empty_contiguous(points), empty_contiguous(weights)


def fake_fused_backward(
    grad_output: Tensor,
    value: Tensor,
    shapes: list[int],
    reference: Tensor,
    offsets: Tensor,
    logits: Tensor,
    mask: Tensor | None,
    kernel: str,
) -> tuple[Tensor, Tensor, Tensor]:
    return fake_backward(grad_output, value, shapes, offsets, logits, kernel)


def save_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    value, ctx.shapes, *tensors, ctx.kernel = inputs
    ctx.save_for_backward(value, *tensors)


def backward_formula(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
    value, *tensors = ctx.saved_tensors
    grads = torch.ops.relforge.msda_backward(grad_output, value, ctx.shapes, *tensors, ctx.kernel)
    return grads[0], None, grads[1], grads[2], None


def fused_backward_formula(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
    value, *tensors = ctx.saved_tensors
    grads = torch.ops.relforge.msda_fused_backward(grad_output, value, ctx.shapes, *tensors, ctx.kernel)
    return grads[0], None, None, grads[1], grads[2], None, None


def with_autocast(device_type: str, operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Autocast's rule: `value` is stored in the autocast dtype; coordinates and weights keep theirs."""

    def run(value: Tensor, *rest: Any) -> Tensor:
        if value.dtype != torch.float64:
            value = value.to(torch.get_autocast_dtype(device_type))
        with torch.autocast(device_type, enabled=False):
            return operator(value, *rest)

    return run


def register() -> None:
    """Define the four operators."""
    kernels: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "msda_forward": (forward, fake_forward),
        "msda_backward": (backward, fake_backward),
        "msda_fused_forward": (fused_forward, fake_fused_forward),
        "msda_fused_backward": (fused_backward, fake_fused_backward),
    }
    for name, (real, fake) in kernels.items():
        LIBRARY.define(name + SCHEMAS[name], tags=[torch.Tag.pt2_compliant_tag])
        LIBRARY.impl(name, real, "CompositeExplicitAutograd")
        torch.library.register_fake(f"relforge::{name}", fake, lib=LIBRARY)
    for name, formula in (("msda_forward", backward_formula), ("msda_fused_forward", fused_backward_formula)):
        torch.library.register_autograd(f"relforge::{name}", formula, setup_context=save_inputs, lib=LIBRARY)
        for device_type, key in (("cpu", "AutocastCPU"), ("cuda", "AutocastCUDA")):
            LIBRARY.impl(name, with_autocast(device_type, getattr(torch.ops.relforge, name)), key)


register()
