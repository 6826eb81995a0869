"""The reference equals the definition, with correct gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relforge.kernels.msda.functional import ms_deform_attn
from relforge.kernels.msda.reference import ms_deform_attn_fused_reference, ms_deform_attn_reference
from tests.kernels.msda.cases import make_case


def by_hand(value: Tensor, levels: list[list[int]], locations: Tensor, weights: Tensor) -> Tensor:
    """Equation 3, one sample at a time."""
    batch, queries, heads, _, points, _ = locations.shape
    output = torch.zeros(batch, queries, heads, value.shape[-1], dtype=value.dtype)
    for b, q, h, p in torch.cartesian_prod(*map(torch.arange, (batch, queries, heads, points))).tolist():
        start = 0
        for level, (height, width) in enumerate(levels):
            x, y = (locations[b, q, h, level, p] * torch.tensor([width, height]) - 0.5).tolist()
            for row in (math.floor(y), math.floor(y) + 1):
                for column in (math.floor(x), math.floor(x) + 1):
                    if 0 <= row < height and 0 <= column < width:
                        part = (1 - abs(x - column)) * (1 - abs(y - row)) * weights[b, q, h, level, p]
                        output[b, q, h] += part * value[b, start + row * width + column, h]
            start += height * width
    return output.flatten(2)


def test_the_reference_is_the_sum_over_corners_of_the_definition() -> None:
    case = make_case([(3, 5), (2, 1)], queries=4, channels=3, points=2)
    inputs = [t.double() for t in (case.value, case.locations, case.weights)]
    expected = by_hand(inputs[0], case.shapes.tolist(), *inputs[1:])
    found = ms_deform_attn_reference(inputs[0], case.shapes, *inputs[1:])
    torch.testing.assert_close(found, expected)


def test_gradients_of_the_reference_pass_gradcheck() -> None:
    case = make_case([(4, 3), (2, 2)], batch=1, queries=2, channels=2, points=2)
    leaves = [t.double().requires_grad_() for t in (case.value, case.locations, case.weights)]
    assert torch.autograd.gradcheck(
        lambda v, x, w: ms_deform_attn(v, case.shapes, x, w, kernel="reference"), leaves
    )


def test_gradients_of_the_fused_reference_pass_gradcheck() -> None:
    case = make_case([(4, 3), (2, 2)], batch=1, heads=1, queries=2, channels=2, points=2)
    boxes = torch.rand(1, 2, 2, 4)
    leaves = [t.double().requires_grad_() for t in (case.value, boxes, case.locations, case.weights)]
    assert torch.autograd.gradcheck(
        lambda v, r, x, w: ms_deform_attn_fused_reference(v, case.shapes, r, x, w), leaves
    )
