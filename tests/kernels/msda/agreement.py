"""How two implementations are compared: against the reference in float64, relative to the largest number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from relforge.kernels.msda.functional import ms_deform_attn
from relforge.kernels.msda.reference import ms_deform_attn_reference
from tests.kernels.msda.cases import Case

TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}
"""Of output and gradients of value and weights; gradients of locations get ten times as much, because they
multiply differences of neighbouring pixels by the width of the level."""
NAMES = ("output", "grad_value", "grad_locations", "grad_weights")


def output_and_gradients(
    function: Callable[..., Tensor], case: Case, value: Tensor, dtype: torch.dtype
) -> list[Tensor]:
    """The output and the gradients of value, locations and weights; `value` keeps its dtype."""
    leaves = [value, case.locations.to(dtype), case.weights.to(dtype)]
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    output = function(leaves[0], case.shapes, *leaves[1:])
    return [output.detach(), *torch.autograd.grad(output, leaves, case.grad_output.to(output.dtype))]


def expected_results(case: Case, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """The reference's, in float64, for a value stored as `dtype`."""
    return output_and_gradients(ms_deform_attn_reference, case, case.value.to(dtype).double(), torch.float64)


def assert_agrees(
    case: Case,
    kernel: str,
    dtype: torch.dtype = torch.float32,
    expected: Sequence[Tensor] | None = None,
    where: str = "",
    tolerance: float | None = None,
) -> None:
    """`kernel`, storing `dtype`, gives the reference's output and gradients, within `tolerance` instead of
    `TOLERANCE`."""
    results = output_and_gradients(
        partial(ms_deform_attn, kernel=kernel), case, case.value.to(dtype), torch.float32
    )
    expected = expected_results(case, dtype) if expected is None else expected
    for name, ours, theirs in zip(NAMES, results, expected, strict=True):
        limit = tolerance or TOLERANCE[dtype] * (10 if name == "grad_locations" else 1)
        scale = float(theirs.abs().max()) if theirs.numel() else 1.0
        torch.testing.assert_close(
            ours.double(),
            theirs,
            rtol=0,
            atol=limit * max(scale, 1e-3),
            msg=lambda message, name=name: f"{name} {where}: {message}",
        )
