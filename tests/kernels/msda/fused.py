"""The fused operator against its reference."""

from __future__ import annotations

import torch
from torch import Tensor

from relforge.kernels.msda.functional import ms_deform_attn_fused
from relforge.kernels.msda.reference import ms_deform_attn_fused_reference
from tests.kernels.msda.cases import Case


def assert_fused_agrees(
    case: Case, kernel: str, *, boxes: bool, masked: bool, tolerance: float = 1e-5
) -> None:
    """`kernel` gives the reference's output and gradients for reference points or boxes, masked or not."""
    torch.manual_seed(1)
    batch, queries, _, levels = case.locations.shape[:4]
    reference = torch.rand(batch, queries, levels, 4 if boxes else 2)
    offsets, logits = 3 * torch.randn_like(case.locations), 4 * torch.randn_like(case.weights)
    mask = torch.rand(case.value.shape[:2]) < 0.2 if masked else None

    def run(dtype: torch.dtype) -> list[Tensor]:
        leaves = [t.to(dtype).requires_grad_() for t in (case.value.clone(), offsets, logits)]
        inputs = (leaves[0], case.shapes, reference.to(dtype), leaves[1], leaves[2], mask)
        if dtype == torch.float64:
            output = ms_deform_attn_fused_reference(*inputs)
        else:
            output = ms_deform_attn_fused(*inputs, kernel=kernel)
        return [output.detach(), *torch.autograd.grad(output, leaves, case.grad_output.to(dtype))]

    for ours, theirs in zip(run(torch.float32), run(torch.float64), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=tolerance * float(theirs.abs().max()))
