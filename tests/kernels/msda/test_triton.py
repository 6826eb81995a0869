"""The Triton kernels agree with the reference under Triton's interpreter, and compile for real GPUs.

The interpreter must be on before Triton is imported, so the first test runs this file again in a process of
its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from relforge.kernels.msda import triton_launch
from relforge.kernels.msda.dispatch import KernelUnavailable, choose
from relforge.kernels.msda.functional import ms_deform_attn, ms_deform_attn_fused
from relforge.kernels.msda.reference import ms_deform_attn_fused_reference
from relforge.kernels.msda.self_test import self_test
from tests.kernels.msda.agreement import assert_agrees

INTERPRETED = triton_launch.interpreted()
HAVE_TRITON = find_spec("triton") is not None
interpreted = pytest.mark.skipif(not INTERPRETED, reason="runs in the process with TRITON_INTERPRET=1")
native = pytest.mark.skipif(INTERPRETED, reason="runs in the process without the interpreter")
needs_triton = pytest.mark.skipif(not HAVE_TRITON, reason="Triton is not installed: pip install triton")
PYRAMID = [(4, 3), (1, 1)]
SMALL = {"levels": PYRAMID, "heads": 1, "points": 2}
SIZES = {
    "two heads of two images": {"levels": PYRAMID, "heads": 2, "points": 1},
    "128 channels, one point": {"levels": PYRAMID, "channels": 128, "heads": 1, "points": 1, "queries": 3},
    "odd channels and points": {"levels": PYRAMID, "channels": 20, "heads": 1, "points": 3, "batch": 1},
    "more queries than a block": {"levels": [(4, 4)], "queries": 70, "heads": 1, "batch": 1, "points": 1},
    "eight levels": {"levels": [(2, 2)] * 8, "points": 1, "queries": 2, "heads": 1, "batch": 1},
    "no queries": {"levels": PYRAMID, "queries": 0},
}


@native
@needs_triton
def test_under_the_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:]


@interpreted
@pytest.mark.parametrize("size", SIZES)
def test_every_size_agrees_with_the_reference(case, size):
    assert_agrees(case(**SIZES[size]), "triton")


@interpreted
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_storage_agrees_with_the_reference(case, dtype):
    assert_agrees(case(**SMALL, batch=1), "triton", dtype)


@interpreted
def test_locations_on_edges_and_far_outside_agree(case):
    problem = case(**SMALL, queries=8, batch=1)
    steps = torch.tensor([-1e30, -3.0, -0.5, 0.0, 0.25, 1.0, 1.5, float("inf")])
    problem.locations[:, :, :, :, :, 0] = steps[None, :, None, None, None]
    assert_agrees(problem, "triton")


@interpreted
@pytest.mark.parametrize("box", [False, True], ids=["points", "boxes"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_the_fused_operator_agrees_with_its_reference(case, box, masked):
    problem = case(**SMALL, queries=6)
    torch.manual_seed(1)
    reference = torch.rand(2, 6, 2, 4 if box else 2)
    offsets, logits = 2 * torch.randn_like(problem.locations), 4 * torch.randn_like(problem.weights)
    mask = torch.rand(problem.value.shape[:2]) < 0.2 if masked else None

    def run(function, dtype, **options):
        leaves = [t.to(dtype).requires_grad_() for t in (problem.value.clone(), offsets, logits)]
        output = function(
            leaves[0], problem.shapes, reference.to(dtype), leaves[1], leaves[2], mask, **options
        )
        return [output, *torch.autograd.grad(output, leaves, problem.grad_output.to(dtype))]

    found = run(ms_deform_attn_fused, torch.float32, kernel="triton")
    expected = run(ms_deform_attn_fused_reference, torch.float64)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(
            ours.double(), theirs, rtol=0, atol=1e-5 * float(theirs.detach().abs().max())
        )


@interpreted
def test_a_nan_location_makes_its_query_and_head_nan(case):
    problem = case(**SMALL)
    problem.locations[0, 1, 0, 1, 1, 0] = float("nan")
    output = ms_deform_attn(
        problem.value, problem.shapes, problem.locations, problem.weights, kernel="triton"
    ).view(2, 5, 1, 32)
    assert output[0, 1, 0].isnan().all()
    output[0, 1, 0] = 0
    assert output.isfinite().all()


@interpreted
def test_opcheck_and_the_forward_self_test_pass(case):
    problem = case([(3, 2)], queries=2, heads=1, channels=16, points=1)
    leaves = [t.requires_grad_() for t in (problem.value, problem.locations, problem.weights)]
    torch.library.opcheck(
        torch.ops.relforge.msda_forward, (leaves[0], problem.shapes, leaves[1], leaves[2], "triton")
    )
    assert self_test(kernel="triton", gradients=False).kernel == "triton"


@interpreted
def test_a_kernel_that_fails_to_launch_raises_and_returns_nothing(case, monkeypatch):
    class Refusing:
        def __getitem__(self, grid):
            raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(triton_launch, "kernels", lambda: (Refusing(), Refusing()))
    problem = case(PYRAMID)
    with pytest.raises(triton_launch.LaunchFailed, match="no kernel image is available"):
        ms_deform_attn(problem.value, problem.shapes, problem.locations, problem.weights, kernel="triton")


@native
@needs_triton
def test_an_old_gpu_is_named_with_what_it_lacks(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    with pytest.raises(KernelUnavailable, match=r"needs compute capability 8.0; Tesla T4 has 7.5"):
        choose("cuda", torch.float16, "triton")
    assert choose("cuda", torch.float16) == "reference"


@native
@needs_triton
@pytest.mark.parametrize(("name", "capability"), [("forward", 80), ("backward", 90)])
def test_the_kernels_compile_for_gpus_without_one(name, capability):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel: Any = triton_launch.kernels()[("forward", "backward").index(name)]
    constants = {
        "D": 32, "D_2": 32, "L": 4, "P": 4, "POINTS_2": 16, "REFERENCE": 2, "MASKED": True, "QUERIES": 64
    }  # fmt: skip
    pointers = {"value": "*bf16", "levels": "*i32", "mask": "*u8", "output": "*bf16", "grad_output": "*bf16"}
    signature = {
        argument: "constexpr"
        if argument in constants
        else "i32"
        if argument in ("queries", "tokens", "heads")
        else pointers.get(argument, "*fp32")
        for argument in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 4})
    assert f".target sm_{capability}" in compiled.asm["ptx"]
