"""The native kernel agrees with the reference for every size, storage, layout and instruction set."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
import torch

from relforge.kernels.msda import cpu
from tests.kernels.msda.agreement import assert_agrees, expected_results
from tests.kernels.msda.cases import make_case
from tests.kernels.msda.conftest import instruction_sets
from tests.kernels.msda.fused import assert_fused_agrees

PYRAMID = [(9, 7), (5, 4), (3, 2), (1, 1)]
SIZES: dict[str, dict[str, Any]] = {
    "as published": {"levels": PYRAMID, "heads": 8, "channels": 32, "points": 4},
    "one level, one point": {"levels": [(4, 6)], "points": 1},
    "three points": {"levels": PYRAMID, "points": 3},
    "eight levels of sixteen points": {"levels": [(3, 3)] * 8, "points": 16, "queries": 3},
    "narrow heads": {"levels": PYRAMID, "channels": 16},
    "wide heads": {"levels": PYRAMID, "channels": 128, "heads": 1},
    "48 channels": {"levels": PYRAMID, "channels": 48},
    "odd channels": {"levels": PYRAMID, "channels": 5, "heads": 3},
    "one-pixel levels": {"levels": [(1, 1), (1, 5), (4, 1)], "points": 2},
    "one query": {"levels": PYRAMID, "queries": 1, "batch": 1},
    "more queries than pixels": {"levels": PYRAMID, "queries": 300, "batch": 1},
}


def layouts(channels: int, dtype: torch.dtype) -> list[str]:
    """The direct layout takes float32 and whole vectors of channels."""
    return [
        name for name in cpu.LAYOUTS if name != "direct" or (dtype == torch.float32 and channels % 16 == 0)
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_every_layout_and_instruction_set_agrees_with_the_reference(
    native: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, size: str, dtype: torch.dtype
) -> None:
    case = make_case(**SIZES[size])
    expected = expected_results(case, dtype)
    try:
        for isa in instruction_sets():
            native.rf_use_isa(isa.encode())
            for layout in layouts(case.value.shape[-1], dtype):
                monkeypatch.setenv(cpu.LAYOUT_VARIABLE, layout)
                assert_agrees(case, "cpu", dtype, expected, where=f"with {isa} and layout {layout}")
    finally:
        native.rf_use_isa(None)


@pytest.mark.parametrize("layout", cpu.LAYOUTS)
def test_locations_on_edges_and_far_outside_agree(
    isa: str, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    case = make_case(PYRAMID, queries=8)
    steps = torch.tensor([-1e30, -3.0, -0.5, 0.0, 0.25, 1.0, 1.5, float("inf")])
    case.locations[:, :, :, :, :, 0] = steps[None, :, None, None, None]
    case.locations[:, :, :, :, :, 1] = steps[None, None, None, None, :4] + 0.01
    monkeypatch.setenv(cpu.LAYOUT_VARIABLE, layout)
    assert_agrees(case, "cpu")


def test_views_that_are_not_contiguous_agree(isa: str) -> None:
    case = make_case(PYRAMID)
    case.value = case.value.transpose(0, 1).contiguous().transpose(0, 1)
    case.locations = case.locations.flip(-1).transpose(1, 2).contiguous().transpose(1, 2).flip(-1)
    case.weights = torch.stack([case.weights] * 2, -1)[..., 0]
    assert not case.value.is_contiguous()
    assert not case.weights.is_contiguous()
    assert_agrees(case, "cpu")


def test_no_queries_give_an_empty_output_and_zero_gradients(isa: str) -> None:
    assert_agrees(make_case(PYRAMID, queries=0), "cpu")


@pytest.mark.parametrize("boxes", [False, True], ids=["points", "boxes"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
@pytest.mark.parametrize("points", [4, 5])
def test_the_fused_operator_agrees_with_its_reference(
    isa: str, boxes: bool, masked: bool, points: int
) -> None:
    assert_fused_agrees(make_case(PYRAMID, queries=40, points=points), "cpu", boxes=boxes, masked=masked)


def test_results_do_not_depend_on_the_number_of_threads(native: ctypes.CDLL) -> None:
    case = make_case([(40, 40)], queries=1500, batch=1, heads=3, points=8)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            leaf = case.value.clone().requires_grad_()
            shapes = case.shapes.flatten().tolist()
            output = torch.ops.relforge.msda_forward(leaf, shapes, case.locations, case.weights, "cpu")
            output.backward(case.grad_output)
            results.append((output.detach(), leaf.grad))
    finally:
        torch.set_num_threads(threads)
    for output, gradient in results[1:]:
        assert torch.equal(output, results[0][0])
        assert torch.equal(gradient, results[0][1])


@pytest.mark.parametrize(("channels", "dtype"), [(5, torch.float32), (32, torch.bfloat16)])
def test_the_direct_layout_is_refused_where_it_cannot_work(
    native: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, channels: int, dtype: torch.dtype
) -> None:
    monkeypatch.setenv(cpu.LAYOUT_VARIABLE, "direct")
    with pytest.raises(ValueError, match="RELFORGE_MSDA_LAYOUT=direct takes no"):
        assert_agrees(make_case([(4, 5)], channels=channels), "cpu", dtype)


def test_an_unknown_layout_is_refused_with_the_names(
    native: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cpu.LAYOUT_VARIABLE, "sideways")
    with pytest.raises(ValueError, match="choose one of auto, direct, packed"):
        assert_agrees(make_case([(4, 5)]), "cpu")
