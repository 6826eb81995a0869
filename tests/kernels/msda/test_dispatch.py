"""The user can read and choose which kernel runs, and a forced one never falls back silently."""

from __future__ import annotations

import ctypes

import pytest
import torch
from torch import Tensor

from relforge.kernels.msda import self_test
from relforge.kernels.msda.dispatch import VARIABLE, KernelUnavailable, choose, describe
from relforge.kernels.self_test import SelfTestFailed


def test_the_variable_forces_a_kernel_and_the_argument_wins(
    monkeypatch: pytest.MonkeyPatch, native: ctypes.CDLL
) -> None:
    monkeypatch.setenv(VARIABLE, "reference")
    assert choose("cpu", torch.float32) == "reference"
    assert choose("cpu", torch.float32, "cpu") == "cpu"


def test_an_unknown_name_is_refused_with_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(ValueError, match=r"RELFORGE_MSDA='cuda': choose one of auto, reference, cpu, triton"):
        choose("cpu", torch.float32)


def test_a_forced_kernel_that_cannot_run_is_an_error() -> None:
    with pytest.raises(KernelUnavailable, match=r"'cpu' cannot run torch.float64 tensors"):
        choose("cpu", torch.float64, "cpu")


def test_float64_runs_the_reference() -> None:
    assert choose("cpu", torch.float64) == "reference"


def test_without_the_native_library_the_reference_runs_and_the_reason_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relforge.kernels.msda.dispatch.why_unavailable", lambda: "no C++ compiler found")
    assert choose("cpu", torch.float32) == "reference"
    assert describe()["cpu"] == "no C++ compiler found"
    assert describe()["chosen"] == "reference"


def test_self_test_reports_what_ran(kernel: str) -> None:
    report = self_test.self_test(kernel=kernel)
    assert report.kernel == kernel
    assert report.worst < report.tolerance


def test_self_test_refuses_a_kernel_that_returns_zeros(
    monkeypatch: pytest.MonkeyPatch, native: ctypes.CDLL
) -> None:
    def zeros(value: Tensor, shapes: Tensor, reference: Tensor, *rest: Tensor, **options: object) -> Tensor:
        return (value * rest[0].sum() * rest[1].sum() * 0).sum() + torch.zeros(2, 6, 64)

    monkeypatch.setattr(self_test, "ms_deform_attn_fused", zeros)
    with pytest.raises(SelfTestFailed, match="cannot be trusted here"):
        self_test.self_test()
