"""The native kernel agrees with the reference for every size, storage, layout and instruction set."""

from __future__ import annotations

import pytest
import torch

from relforge.kernels.msda import cpu
from relforge.kernels.msda.functional import ms_deform_attn_fused
from relforge.kernels.msda.reference import ms_deform_attn_fused_reference
from tests.kernels.msda.agreement import assert_agrees

PYRAMID = [(9, 7), (5, 4), (3, 2), (1, 1)]
SIZES = {
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
    "more queries than pixels": {"levels": PYRAMID, "queries": 700, "batch": 1},
}


@pytest.mark.parametrize("layout", cpu.LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_every_size_agrees_with_the_reference(case, isa, monkeypatch, size, dtype, layout):
    problem = case(**SIZES[size])
    if layout == "direct" and (dtype != torch.float32 or problem.value.shape[-1] % 16):
        pytest.skip("the direct layout takes float32 and whole vectors of channels")
    monkeypatch.setenv(cpu.LAYOUT_VARIABLE, layout)
    assert_agrees(problem, "cpu", dtype)


@pytest.mark.parametrize("layout", cpu.LAYOUTS)
def test_locations_on_edges_and_far_outside_agree(case, isa, monkeypatch, layout):
    problem = case(PYRAMID, queries=8)
    steps = torch.tensor([-1e30, -3.0, -0.5, 0.0, 0.25, 1.0, 1.5, float("inf")])
    problem.locations[:, :, :, :, :, 0] = steps[None, :, None, None, None]
    problem.locations[:, :, :, :, :, 1] = steps[None, None, None, None, :4] + 0.01
    monkeypatch.setenv(cpu.LAYOUT_VARIABLE, layout)
    assert_agrees(problem, "cpu")


def test_views_that_are_not_contiguous_agree(case, isa):
    problem = case(PYRAMID)
    problem.value = problem.value.transpose(0, 1).contiguous().transpose(0, 1)
    problem.locations = problem.locations.flip(-1).transpose(1, 2).contiguous().transpose(1, 2).flip(-1)
    problem.weights = torch.stack([problem.weights] * 2, -1)[..., 0]
    assert not problem.value.is_contiguous()
    assert not problem.weights.is_contiguous()
    assert_agrees(problem, "cpu")


def test_no_queries_give_an_empty_output_and_zero_gradients(case, isa):
    assert_agrees(case(PYRAMID, queries=0), "cpu")


@pytest.mark.parametrize("box", [False, True], ids=["points", "boxes"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
@pytest.mark.parametrize("points", [4, 5])
def test_the_fused_operator_agrees_with_its_reference(case, isa, box, masked, points):
    problem = case(PYRAMID, queries=40, points=points)
    torch.manual_seed(1)
    reference = torch.rand(2, 40, 4, 4 if box else 2)
    offsets, logits = 3 * torch.randn_like(problem.locations), 4 * torch.randn_like(problem.weights)
    mask = torch.rand(problem.value.shape[:2]) < 0.2 if masked else None

    def run(function, dtype, **options):
        leaves = [t.to(dtype).requires_grad_() for t in (problem.value.clone(), offsets, logits)]
        output = function(
            leaves[0], problem.shapes, reference.to(dtype), leaves[1], leaves[2], mask, **options
        )
        return [output, *torch.autograd.grad(output, leaves, problem.grad_output.to(dtype))]

    found = run(ms_deform_attn_fused, torch.float32, kernel="cpu")
    expected = run(ms_deform_attn_fused_reference, torch.float64)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


def test_results_do_not_depend_on_the_number_of_threads(case, native):
    problem = case([(40, 40)], queries=1500, batch=1, heads=3, points=8)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            leaf = problem.value.clone().requires_grad_()
            output = torch.ops.relforge.msda_forward(
                leaf, problem.shapes, problem.locations, problem.weights, "cpu"
            )
            output.backward(problem.grad_output)
            results.append((output.detach(), leaf.grad))
    finally:
        torch.set_num_threads(threads)
    for output, gradient in results[1:]:
        assert torch.equal(output, results[0][0])
        assert torch.equal(gradient, results[0][1])


@pytest.mark.parametrize(
    ("size", "dtype"), [({"channels": 5}, torch.float32), ({"channels": 32}, torch.bfloat16)]
)
def test_the_direct_layout_is_refused_where_it_cannot_work(case, native, monkeypatch, size, dtype):
    problem = case([(4, 5)], **size)
    monkeypatch.setenv(cpu.LAYOUT_VARIABLE, "direct")
    with pytest.raises(ValueError, match="RELFORGE_MSDA_LAYOUT=direct takes no"):
        assert_agrees(problem, "cpu", dtype)


def test_an_unknown_layout_is_refused_with_the_names(case, native, monkeypatch):
    monkeypatch.setenv(cpu.LAYOUT_VARIABLE, "sideways")
    with pytest.raises(ValueError, match="choose one of auto, direct, packed"):
        assert_agrees(case([(4, 5)]), "cpu")
