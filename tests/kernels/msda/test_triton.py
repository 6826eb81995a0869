"""The Triton kernels: right under the interpreter, compiled for absent GPUs, refused on old ones."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.kernels.msda import triton_launch
from relforge.kernels.msda.dispatch import KernelUnavailable, choose

pytestmark = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton is not installed: pip install triton"
)


@pytest.mark.slow
def test_the_kernels_agree_with_the_reference_under_the_interpreter() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    tests = Path(__file__).with_name("interpreted_triton.py")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(tests)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:]


def test_an_old_gpu_is_named_with_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    with pytest.raises(KernelUnavailable, match=r"needs compute capability 8.0; Tesla T4 has 7.5"):
        choose("cuda", torch.float16, "triton")
    assert choose("cuda", torch.float16) == "reference"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "capability"), [("forward", 80), ("backward", 90)])
def test_the_kernels_compile_for_gpus_without_one(name: str, capability: int) -> None:
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
