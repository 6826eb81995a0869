"""The user sees and controls which kernel runs, and a forced one never falls back silently."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from relforge.kernels.msda import self_test
from relforge.kernels.msda.dispatch import VARIABLE, KernelUnavailable, choose, describe
from relforge.kernels.native import build
from relforge.kernels.native.loading import LibraryUnavailable, open_library


def test_the_variable_forces_a_kernel_and_the_argument_wins(monkeypatch, native):
    monkeypatch.setenv(VARIABLE, "reference")
    assert choose("cpu", torch.float32) == "reference"
    assert choose("cpu", torch.float32, "cpu") == "cpu"


def test_an_unknown_name_is_refused_with_the_choices(monkeypatch):
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(ValueError, match=r"RELFORGE_MSDA='cuda': choose one of auto, reference, cpu, triton"):
        choose("cpu", torch.float32)


def test_a_forced_kernel_that_cannot_run_is_an_error():
    with pytest.raises(KernelUnavailable, match=r"'cpu' cannot run torch.float64 tensors"):
        choose("cpu", torch.float64, "cpu")


def test_float64_runs_the_reference():
    assert choose("cpu", torch.float64) == "reference"


def test_without_the_native_library_the_reference_runs_and_the_reason_is_shown(monkeypatch):
    monkeypatch.setattr("relforge.kernels.msda.dispatch.why_unavailable", lambda: "no C++ compiler found")
    assert choose("cpu", torch.float32) == "reference"
    assert describe()["cpu"] == "no C++ compiler found"
    assert describe()["chosen"] == "reference"


def test_self_test_reports_what_ran(kernel):
    report = self_test.self_test(kernel=kernel)
    assert report.kernel == kernel
    assert report.worst < report.tolerance


def test_self_test_refuses_a_kernel_that_returns_zeros(monkeypatch, native):
    def zeros(value, shapes, reference, offsets, *rest, **options):
        return (value * offsets.sum() * rest[0].sum() * 0).sum() + torch.zeros(2, 6, 64)

    monkeypatch.setattr(self_test, "ms_deform_attn_fused", zeros)
    with pytest.raises(self_test.SelfTestFailed, match="cannot be trusted here"):
        self_test.self_test()


def test_importing_the_kernels_needs_only_torch_and_numpy():
    heavy = "{'ray', 'spacy', 'pydantic', 'msgspec', 'transformers', 'pyarrow'}"
    code = f"import sys, relforge.kernels.msda.module; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_library_is_never_loaded_from_other_sources(monkeypatch, native):
    monkeypatch.setattr(build.Library, "source_hash", lambda library: "0" * 16)
    with pytest.raises(LibraryUnavailable, match="built from other sources"):
        open_library(build.MSDA, Path(native._name))
