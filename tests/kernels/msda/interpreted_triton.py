"""The Triton kernels agree with the reference under Triton's interpreter.

The interpreter must be on before Triton is imported: `test_triton.py` runs this file in a process of its own.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from relforge.kernels.msda import triton_launch
from relforge.kernels.msda.functional import ms_deform_attn
from relforge.kernels.msda.self_test import self_test
from tests.kernels.msda.agreement import assert_agrees
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
    "no queries": {"levels": PYRAMID, "queries": 0},
}


@pytest.mark.parametrize("size", SIZES)
def test_every_size_agrees_with_the_reference(size: str) -> None:
    assert_agrees(make_case(**SIZES[size]), "triton")


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
    assert_fused_agrees(make_case(**SMALL, queries=6), "triton", boxes=boxes, masked=masked)


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
        torch.ops.relforge.msda_forward, (leaves[0], case.shapes, leaves[1], leaves[2], "triton")
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
