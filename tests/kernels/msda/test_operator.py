"""The operator behaves as PyTorch and its users expect: registration, compile, autocast, bad input, NaN."""

from __future__ import annotations

import pytest
import torch

from relforge.kernels.msda.dispatch import KernelUnavailable
from relforge.kernels.msda.functional import ms_deform_attn, ms_deform_attn_fused

LEVELS = [(4, 5), (2, 3)]


def inputs(problem) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    return problem.value, problem.shapes, problem.locations, problem.weights


def test_opcheck_passes(case, native):
    problem = case(LEVELS)
    leaves = [t.requires_grad_() for t in (problem.value, problem.locations, problem.weights)]
    torch.library.opcheck(
        torch.ops.relforge.msda_forward, (leaves[0], problem.shapes, leaves[1], leaves[2], "cpu")
    )
    reference, mask = torch.rand(2, 5, 2, 2), torch.zeros(2, 26, dtype=torch.bool)
    torch.library.opcheck(
        torch.ops.relforge.msda_fused_forward,
        (leaves[0], problem.shapes, reference, leaves[1], leaves[2], mask, "cpu"),
    )


def test_compiled_code_gives_the_same_without_graph_breaks(case, kernel):
    problem = case(LEVELS)
    function = torch.compile(
        lambda v, x, w: ms_deform_attn(v, problem.shapes, x, w, kernel=kernel) * 2,
        backend="aot_eager",
        fullgraph=kernel != "reference",
    )
    leaf = problem.value.clone().requires_grad_()
    output = function(leaf, problem.locations, problem.weights)
    output.backward(problem.grad_output)
    expected_leaf = problem.value.clone().requires_grad_()
    expected = 2 * ms_deform_attn(
        expected_leaf, problem.shapes, problem.locations, problem.weights, kernel="reference"
    )
    expected.backward(problem.grad_output)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(leaf.grad, expected_leaf.grad, rtol=1e-5, atol=1e-5)


def test_autocast_stores_the_value_in_half_precision_and_keeps_coordinates(case, native):
    problem = case(LEVELS)
    with torch.autocast("cpu", torch.bfloat16):
        output = ms_deform_attn(*inputs(problem), kernel="cpu")
    assert output.dtype == torch.bfloat16
    narrow = ms_deform_attn(problem.value.bfloat16(), *inputs(problem)[1:], kernel="cpu")
    assert torch.equal(output, narrow)


def test_integer_values_are_refused(case, kernel):
    problem = case(LEVELS)
    problem.value = problem.value.to(torch.int32)
    with pytest.raises((ValueError, KernelUnavailable), match=r"float32 or bfloat16|must be float16"):
        ms_deform_attn(*inputs(problem), kernel=kernel)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": torch.zeros(2, 26, 64)}, r"value must be \(B, S, H, D\)"),
        ({"value": torch.zeros(2, 25, 2, 32)}, "add up to 26 pixels, but value holds 25"),
        ({"locations": torch.zeros(2, 5, 2, 2, 4, 3)}, r"must be \(B, Q, H, L, P, 2\)"),
        ({"locations": torch.zeros(2, 5, 3, 2, 4, 2)}, "do not fit value"),
        ({"weights": torch.zeros(2, 5, 2, 2, 3)}, "attention weights must be"),
        ({"shapes": torch.tensor([[4, 5]])}, "has 1 levels, the sampling points have 2"),
        ({"shapes": torch.tensor([[4, 5], [0, 3]])}, "each >= 1"),
        ({"shapes": torch.tensor([[4.0, 5.0], [2.0, 3.0]])}, "must be integers"),
    ],
)
def test_input_that_does_not_fit_is_named(case, kernel, change, message):
    problem = case(LEVELS)
    for name, tensor in change.items():
        setattr(problem, name, tensor)
    with pytest.raises(ValueError, match=message):
        ms_deform_attn(*inputs(problem), kernel=kernel)


def test_wrong_reference_points_and_masks_are_named(case, kernel):
    problem = case(LEVELS)
    with pytest.raises(ValueError, match="reference_points must be"):
        ms_deform_attn_fused(
            problem.value, problem.shapes, torch.rand(2, 5, 2, 3), *inputs(problem)[2:], kernel=kernel
        )
    with pytest.raises(ValueError, match="padding_mask must be bool"):
        ms_deform_attn_fused(
            problem.value,
            problem.shapes,
            torch.rand(2, 5, 2, 2),
            *inputs(problem)[2:],
            torch.zeros(2, 26),
            kernel=kernel,
        )


def test_a_nan_location_makes_its_query_and_head_nan_and_no_other(case, kernel):
    problem = case(LEVELS)
    problem.locations[0, 1, 0, 1, 2, 0] = float("nan")
    output = ms_deform_attn(*inputs(problem), kernel=kernel).view(2, 5, 2, 32)
    assert output[0, 1, 0].isnan().all()
    output[0, 1, 0] = 0
    assert output.isfinite().all()


def test_a_nan_logit_shows_in_the_output(case, kernel):
    problem = case(LEVELS)
    problem.weights[1, 2, 1, 0, 0] = float("nan")
    reference = torch.rand(2, 5, 2, 2)
    output = ms_deform_attn_fused(
        problem.value, problem.shapes, reference, *inputs(problem)[2:], kernel=kernel
    ).view(2, 5, 2, 32)
    assert output[1, 2, 1].isnan().all()
    assert output[0].isfinite().all()


def test_reference_points_receive_their_gradient(case, kernel):
    problem = case(LEVELS)
    reference = torch.rand(2, 5, 2, 4)

    def gradient(name, dtype):
        leaf = reference.to(dtype).requires_grad_()
        tensors = [t.to(dtype) for t in (problem.value, problem.locations, problem.weights)]
        output = ms_deform_attn_fused(tensors[0], problem.shapes, leaf, tensors[1], tensors[2], kernel=name)
        return torch.autograd.grad(output.square().sum(), leaf)[0]

    expected = gradient("reference", torch.float64)
    torch.testing.assert_close(gradient(kernel, torch.float32).double(), expected, rtol=1e-3, atol=1e-4)
