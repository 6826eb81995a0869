"""What `benchmarks/msda.py` compares: GPU peers through substitutes with their documented signatures."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from relforge.kernels.msda.functional import ms_deform_attn

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
CASE = {
    "name": "tiny",
    "levels": [[6, 8], [3, 4]],
    "heads": 2,
    "channels": 8,
    "points": 3,
    "queries": 5,
    "batch": 2,
}


@pytest.fixture
def bench(monkeypatch):
    """The modules `msda`, `msda_cases`, `msda_limits` and `msda_peers` of benchmarks/."""
    from importlib import import_module

    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return SimpleNamespace(
        **{name: import_module(name) for name in ("msda", "msda_cases", "msda_limits", "msda_peers")}
    )


@pytest.fixture
def install(monkeypatch):
    """`install("a.b", f=...)`: a substitute for a package that is not installed here."""

    def add(name: str, **members: object) -> None:
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:depth]), ModuleType(name))
        vars(sys.modules[name]).update(members)

    return add


def deformops(
    value, spatial_shapes, level_start_index, sampling_locations, attention_weights, *, method=None
):
    assert level_start_index.tolist() == [0, 48]
    assert attention_weights.dtype == value.dtype
    assert method is None
    return ms_deform_attn(value, spatial_shapes, sampling_locations, attention_weights.float())


class FlashDeformAttnFunction(torch.autograd.Function):
    """Per query and head: the x, y of level 0's points, of level 1's, then all logits."""

    @staticmethod
    def of(value, spatial_shapes, packed, points):
        levels = len(spatial_shapes)
        xy, logits = packed.float().split([2 * levels * points, levels * points], -1)
        weights = logits.softmax(-1).unflatten(-1, (levels, points))
        return ms_deform_attn(value.float(), spatial_shapes, xy.unflatten(-1, (levels, points, 2)), weights)

    @staticmethod
    def forward(
        ctx, value, value_spatial_shapes, value_level_start_index, sampling_loc_attn, im2col_step, K=8
    ):
        assert value.dtype == sampling_loc_attn.dtype == torch.float16
        ctx.save_for_backward(value, value_spatial_shapes, sampling_loc_attn)
        ctx.K = K
        return FlashDeformAttnFunction.of(value, value_spatial_shapes, sampling_loc_attn, K).half()

    @staticmethod
    def backward(ctx, grad_output):
        value, shapes, packed = ctx.saved_tensors
        with torch.enable_grad():
            leaves = [value.float().requires_grad_(), packed.float().requires_grad_()]
            output = FlashDeformAttnFunction.of(leaves[0], shapes, leaves[1], ctx.K)
            grads = torch.autograd.grad(output, leaves, grad_output.float())
        return grads[0].half(), None, None, grads[1].half(), None, None


@pytest.mark.parametrize("name", ["deformops", "deformops bfloat16", "FlashDeformAttn float16"])
def test_a_peer_that_computes_the_same_is_compared(bench, install, name):
    install("deformops.registry", msda=deformops)
    install("DCNv4.functions", FlashDeformAttnFunction=FlashDeformAttnFunction)
    problem = bench.msda_cases.build(CASE)
    expected = bench.msda_peers.ours(problem).passes(problem.grad_output)["forward"]()
    assert list(bench.msda.select_agreeing(problem, [name], expected)) == [name]


def test_a_peer_that_returns_zeros_is_left_out(bench, install, capsys):
    install("deformops.registry", msda=lambda value, *_: value.sum() * torch.zeros(2, 5, 16))
    problem = bench.msda_cases.build(CASE)
    expected = bench.msda_peers.ours(problem).passes(problem.grad_output)["forward"]()
    assert bench.msda.select_agreeing(problem, ["deformops"], expected) == {}
    assert "deformops left out: it differs from ours by 1" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_named(bench, capsys):
    problem = bench.msda_cases.build(CASE)
    assert bench.msda.select_agreeing(problem, ["original CUDA op"], torch.ones(1)) == {}
    assert "original CUDA op left out: No module named" in capsys.readouterr().err


def test_the_limits_of_a_gpu_are_measured_by_plain_tensors(bench):
    speeds = bench.msda_limits.measure_gpu("cpu", side=64)
    problem = bench.msda_cases.build(CASE)
    assert set(speeds) == {"gflop_per_s", "l2_random_gb_per_s", "memory_gb_per_s"}
    narrow, wide = (bench.msda_limits.least_ms(problem, speeds, False, storage) for storage in (2, 4))
    assert 0 < narrow < wide


@pytest.mark.slow
def test_the_benchmark_compares_every_variant_with_its_peer(bench):
    problem = bench.msda_cases.build(CASE)
    note = {"threads": 1, "allocator": "default", "speeds": {}}
    rows = bench.msda.compare(problem, ["grid_sample"], 1, "cpu", note)
    assert {row["pass"] for row in rows} == {"forward", "forward+backward"}
    assert {"float32", "bfloat16"} <= {row["variant"] for row in rows}
    assert all(row["ours"] > 0 and row["theirs"] > 0 and "speeds" not in row for row in rows)


@pytest.mark.parametrize("error", [TypeError("no such argument"), ValueError(""), AssertionError("bad")])
def test_a_peer_that_raises_whatever_it_likes_ends_nothing(bench, install, capsys, error):
    def broken(*_: object, **__: object) -> None:
        raise error

    install("deformops.registry", msda=broken)
    problem = bench.msda_cases.build(CASE)
    assert bench.msda.select_agreeing(problem, ["deformops"], torch.ones(1)) == {}
    assert f"deformops left out: {error or 'ValueError'}" in capsys.readouterr().err


def test_rows_are_printed_one_json_line_each_as_they_come(bench, capsys):
    bench.msda.show([{"case": "one", "ours": 1.5}, {"case": "two", "ours": None}], True)
    assert capsys.readouterr().out == '{"case": "one", "ours": 1.5}\n{"case": "two", "ours": null}\n'


def test_the_fused_operator_is_given_the_same_problem(bench):
    problem = bench.msda_cases.build(CASE)
    expected = bench.msda_peers.ours(problem).passes(problem.grad_output)["forward"]()
    found = bench.msda_peers.fused(problem, torch.float32).passes(problem.grad_output)["forward"]()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
