"""The operator behaves as PyTorch and its users expect: registration, compile, autocast, bad input, NaN."""

from __future__ import annotations

import ctypes

import pytest
import torch

from relforge.kernels.msda.dispatch import KernelUnavailable
from relforge.kernels.msda.functional import ms_deform_attn, ms_deform_attn_fused
from relforge.kernels.msda.shapes import check_sizes
from tests.kernels.msda.cases import make_case

LEVELS = [(4, 5), (2, 3)]


def test_opcheck_passes(native: ctypes.CDLL) -> None:
    case = make_case(LEVELS)
    leaves = [t.requires_grad_() for t in (case.value, case.locations, case.weights)]
    shapes = case.shapes.flatten().tolist()
    torch.library.opcheck(torch.ops.relforge.msda_forward, (leaves[0], shapes, leaves[1], leaves[2], "cpu"))
    reference, mask = torch.rand(2, 5, 2, 2), torch.zeros(2, 26, dtype=torch.bool)
    torch.library.opcheck(
        torch.ops.relforge.msda_fused_forward,
        (leaves[0], shapes, reference, leaves[1], leaves[2], mask, "cpu"),
    )


def test_compiled_code_gives_the_same_without_graph_breaks(kernel: str) -> None:
    case = make_case(LEVELS)
    function = torch.compile(
        lambda v, x, w: ms_deform_attn(v, LEVELS, x, w, kernel=kernel) * 2,
        backend="aot_eager",
        fullgraph=kernel != "reference",
    )
    leaf = case.value.clone().requires_grad_()
    output = function(leaf, case.locations, case.weights)
    output.backward(case.grad_output)
    expected_leaf = case.value.clone().requires_grad_()
    expected = 2 * ms_deform_attn(
        expected_leaf, case.shapes, case.locations, case.weights, kernel="reference"
    )
    expected.backward(case.grad_output)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(leaf.grad, expected_leaf.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["msda_forward", "msda_fused_forward"])
def test_the_operator_takes_the_levels_as_integers_so_that_cuda_graphs_are_captured(name: str) -> None:
    arguments = getattr(torch.ops.relforge, name).default._schema.arguments
    assert {a.name: str(a.type) for a in arguments}["spatial_shapes"] == "List[int]"


def test_the_second_call_of_a_shape_is_not_checked_again(native: ctypes.CDLL) -> None:
    case = make_case(LEVELS, queries=7)
    ms_deform_attn(*case.inputs, kernel="cpu")
    before = check_sizes.cache_info()
    ms_deform_attn(*case.inputs, kernel="cpu")
    after = check_sizes.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


def test_autocast_stores_the_value_in_half_precision_and_keeps_coordinates(native: ctypes.CDLL) -> None:
    case = make_case(LEVELS)
    with torch.autocast("cpu", torch.bfloat16):
        output = ms_deform_attn(*case.inputs, kernel="cpu")
    assert output.dtype == torch.bfloat16
    narrow = ms_deform_attn(case.value.bfloat16(), *case.inputs[1:], kernel="cpu")
    assert torch.equal(output, narrow)


def test_integer_values_are_refused(kernel: str) -> None:
    case = make_case(LEVELS)
    case.value = case.value.to(torch.int32)
    with pytest.raises((ValueError, KernelUnavailable), match=r"float32 or bfloat16|must be float16"):
        ms_deform_attn(*case.inputs, kernel=kernel)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": torch.zeros(2, 26, 64)}, r"value must be \(B, S, H, D\)"),
        ({"value": torch.zeros(2, 25, 2, 32)}, "add up to 26 pixels, but value has 25"),
        ({"locations": torch.zeros(2, 5, 2, 2, 4, 3)}, r"must be \(B, Q, H, L, P, 2\)"),
        ({"locations": torch.zeros(2, 5, 3, 2, 4, 2)}, "do not fit value"),
        ({"weights": torch.zeros(2, 5, 2, 2, 3)}, "attention weights must be"),
        ({"shapes": torch.tensor([[4, 5]])}, "has 1 levels, the sampling points have 2"),
        ({"shapes": torch.tensor([[4, 5], [0, 3]])}, "each >= 1"),
        ({"shapes": torch.tensor([[4.0, 5.0], [2.0, 3.0]])}, "must be integers"),
    ],
)
def test_input_that_does_not_fit_is_named(kernel: str, change: dict[str, torch.Tensor], message: str) -> None:
    case = make_case(LEVELS)
    for name, tensor in change.items():
        setattr(case, name, tensor)
    with pytest.raises(ValueError, match=message):
        ms_deform_attn(*case.inputs, kernel=kernel)


def test_wrong_reference_points_and_masks_are_named(kernel: str) -> None:
    case = make_case(LEVELS)
    with pytest.raises(ValueError, match="reference_points must be"):
        ms_deform_attn_fused(case.value, case.shapes, torch.rand(2, 5, 2, 3), *case.inputs[2:], kernel=kernel)
    with pytest.raises(ValueError, match="padding_mask must be bool"):
        ms_deform_attn_fused(
            case.value,
            case.shapes,
            torch.rand(2, 5, 2, 2),
            *case.inputs[2:],
            torch.zeros(2, 26),
            kernel=kernel,
        )


def test_a_nan_location_makes_its_query_and_head_nan_and_no_other(kernel: str) -> None:
    case = make_case(LEVELS)
    case.locations[0, 1, 0, 1, 2, 0] = float("nan")
    output = ms_deform_attn(*case.inputs, kernel=kernel).view(2, 5, 2, 32)
    assert output[0, 1, 0].isnan().all()
    output[0, 1, 0] = 0
    assert output.isfinite().all()


def test_a_nan_logit_shows_in_the_output(kernel: str) -> None:
    case = make_case(LEVELS)
    case.weights[1, 2, 1, 0, 0] = float("nan")
    reference = torch.rand(2, 5, 2, 2)
    output = ms_deform_attn_fused(case.value, case.shapes, reference, *case.inputs[2:], kernel=kernel).view(
        2, 5, 2, 32
    )
    assert output[1, 2, 1].isnan().all()
    assert output[0].isfinite().all()


def test_reference_points_receive_their_gradient(kernel: str) -> None:
    case = make_case(LEVELS)
    reference = torch.rand(2, 5, 2, 4)

    def gradient(name: str, dtype: torch.dtype) -> torch.Tensor:
        leaf = reference.to(dtype).requires_grad_()
        tensors = [t.to(dtype) for t in (case.value, case.locations, case.weights)]
        output = ms_deform_attn_fused(tensors[0], case.shapes, leaf, tensors[1], tensors[2], kernel=name)
        return torch.autograd.grad(output.square().sum(), leaf)[0]

    expected = gradient("reference", torch.float64)
    torch.testing.assert_close(gradient(kernel, torch.float32).double(), expected, rtol=1e-3, atol=1e-4)
