"""How two implementations are compared: against the reference in float64, relative to the largest number."""

from __future__ import annotations

import torch

from relforge.kernels.msda.functional import ms_deform_attn
from relforge.kernels.msda.reference import ms_deform_attn_reference

TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}
"""Of output and gradients of value and weights; gradients of locations get ten times as much, because they
multiply differences of neighbouring pixels by the width of the level."""


def gradients_of(function, case, value, dtype):
    """Output and the gradients of value, locations and weights."""
    leaves = [value, case.locations.to(dtype), case.weights.to(dtype)]
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    output = function(leaves[0], case.shapes, *leaves[1:])
    return [output, *torch.autograd.grad(output, leaves, case.grad_output.to(output.dtype))]


def assert_agrees(case, kernel, dtype=torch.float32):
    """`kernel`, storing `dtype`, gives the reference's output and gradients."""
    value = case.value.to(dtype)
    found = gradients_of(
        lambda value, shapes, x, w: ms_deform_attn(value, shapes, x, w, kernel=kernel),
        case,
        value,
        torch.float32,
    )
    expected = gradients_of(ms_deform_attn_reference, case, value.double(), torch.float64)
    names = ("output", "grad_value", "grad_locations", "grad_weights")
    for name, ours, theirs in zip(names, found, expected, strict=True):
        limit = TOLERANCE[dtype] * (10 if name == "grad_locations" else 1)
        scale = float(theirs.detach().abs().max()) if theirs.numel() else 1.0
        torch.testing.assert_close(
            ours.double(),
            theirs,
            rtol=0,
            atol=limit * max(scale, 1e-3),
            msg=lambda m, name=name: f"{name}: {m}",
        )
