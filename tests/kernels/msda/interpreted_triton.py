"""The Triton kernels agree with the reference under Triton's interpreter.

The interpreter must be on before Triton is imported: `test_triton.py` runs this file in a process of its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from relforge.kernels.msda import triton_launch
from relforge.kernels.msda.functional import ms_deform_attn
from relforge.kernels.msda.self_test import self_test
from relforge.kernels.msda.shapes import check
from tests.kernels.msda.agreement import assert_agrees, output_and_gradients
from tests.kernels.msda.cases import make_case
from tests.kernels.msda.fused import assert_fused_agrees

PYRAMID = [(4, 3), (1, 1)]
SMALL: dict[str, Any] = {"levels": PYRAMID, "heads": 1, "points": 2}
SIZES: dict[str, dict[str, Any]] = {
    "two heads of two images": {"levels": PYRAMID, "heads": 2, "points": 1},
    "128 channels, one point": {"levels": PYRAMID, "channels": 128, "heads": 1, "points": 1, "queries": 3},
    "odd channels and points": {"levels": PYRAMID, "channels": 20, "heads": 1, "points": 3, "batch": 1},
    "more queries than a block": {"levels": [(4, 4)], "queries": 70, "heads": 1, "batch": 1, "points": 1},
    "eight levels": {"levels": [(2, 2)] * 8, "points": 1, "queries": 2, "heads": 1, "batch": 1},
    "more points than channels hold": {
        "levels": PYRAMID,
        "points": 9,
        "channels": 16,
        "queries": 2,
        "heads": 1,
    },
    "more points than are unrolled": {"levels": [(2, 3)] * 9, "queries": 2, "heads": 1, "batch": 1},
    "no queries": {"levels": PYRAMID, "queries": 0},
}


@pytest.mark.parametrize("size", SIZES)
def test_every_size_agrees_with_the_reference(size: str) -> None:
    assert_agrees(make_case(**SIZES[size]), "triton", tolerance=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_storage_agrees_with_the_reference(dtype: torch.dtype) -> None:
    assert_agrees(make_case(**SMALL, batch=1), "triton", dtype)


def test_locations_on_edges_and_far_outside_agree() -> None:
    case = make_case(**SMALL, queries=8, batch=1)
    steps = torch.tensor([-1e30, -3.0, -0.5, 0.0, 0.25, 1.0, 1.5, float("inf")])
    case.locations[:, :, :, :, :, 0] = steps[None, :, None, None, None]
    assert_agrees(case, "triton")


@pytest.mark.parametrize("boxes", [False, True], ids=["points", "boxes"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_the_fused_operator_agrees_with_its_reference(boxes: bool, masked: bool) -> None:
    case = make_case(**SMALL, queries=6)
    assert_fused_agrees(case, "triton", boxes=boxes, masked=masked, tolerance=1e-6)


def test_many_points_agree_in_the_fused_operator() -> None:
    case = make_case([(2, 3)] * 9, queries=2, heads=1, batch=1)
    assert_fused_agrees(case, "triton", boxes=False, masked=True, tolerance=1e-6)


def test_64_bit_offsets_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case(**SMALL, batch=2)
    expected = output_and_gradients(partial(ms_deform_attn, kernel="triton"), case, case.value, torch.float32)
    monkeypatch.setattr(triton_launch, "INT32", 1)
    found = output_and_gradients(partial(ms_deform_attn, kernel="triton"), case, case.value, torch.float32)
    assert triton_launch.constants(check(case.value, case.shapes, case.locations, case.weights), 8)["WIDE"]
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_clamped_loads_give_the_same_numbers_where_values_are_finite(masked: bool) -> None:
    case = make_case(**SMALL, queries=8, batch=1)
    problem = check(case.value, case.shapes, case.locations, case.weights)
    mask = torch.rand(case.value.shape[:2]) < 0.3 if masked else None
    tensors = (problem, case.value, case.locations, case.weights, None, mask)
    torch.testing.assert_close(
        triton_launch.forward(*tensors, clamped=True), triton_launch.forward(*tensors), rtol=0, atol=1e-6
    )


def test_the_shape_of_programs_changes_no_bit_of_the_output() -> None:
    case = make_case(**SMALL, queries=40, batch=1)
    problem = check(case.value, case.shapes, case.locations, case.weights)
    tensors = (problem, case.value, case.locations, case.weights)
    assert torch.equal(
        triton_launch.forward(*tensors, shape=(4, 1)), triton_launch.forward(*tensors, shape=(64, 4))
    )


def test_a_nan_location_makes_its_query_and_head_nan() -> None:
    case = make_case(**SMALL)
    case.locations[0, 1, 0, 1, 1, 0] = float("nan")
    output = ms_deform_attn(case.value, case.shapes, case.locations, case.weights, kernel="triton").view(
        2, 5, 1, 32
    )
    assert output[0, 1, 0].isnan().all()
    output[0, 1, 0] = 0
    assert output.isfinite().all()


def test_opcheck_and_the_forward_self_test_pass() -> None:
    case = make_case([(3, 2)], queries=2, heads=1, channels=16, points=1)
    leaves = [t.requires_grad_() for t in (case.value, case.locations, case.weights)]
    torch.library.opcheck(
        torch.ops.relforge.msda_forward, (leaves[0], [3, 2], leaves[1], leaves[2], "triton")
    )
    assert self_test(kernel="triton", gradients=False).kernel == "triton"


def test_a_kernel_that_fails_to_launch_raises_and_returns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def __getitem__(self, grid: object) -> None:
            raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(triton_launch, "kernels", lambda: (Refusing(), Refusing()))
    case = make_case(PYRAMID)
    with pytest.raises(triton_launch.LaunchFailed, match="no kernel image is available"):
        ms_deform_attn(case.value, case.shapes, case.locations, case.weights, kernel="triton")
