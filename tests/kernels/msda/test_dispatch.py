"""The user can read and choose which kernel runs, and a forced one never falls back silently."""

from __future__ import annotations

import ctypes

import pytest
import torch
from torch import Tensor

from relforge.kernels.msda import self_test
from relforge.kernels.msda.dispatch import VARIABLE, KernelUnavailable, choose, describe
from relforge.kernels.msda.module import MSDeformAttn
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


def test_the_uses_of_a_model_are_its_sizes_with_points_and_boxes_masked_and_not() -> None:
    model = torch.nn.Sequential(
        MSDeformAttn(32, 2, 2, 3), MSDeformAttn(32, 2, 2, 3), MSDeformAttn(64, 4, 8, 4)
    )
    uses = self_test.uses_of(model, "cpu", torch.bfloat16)
    assert {use[:3] for use in uses} == {(16, 3, 2), (8, 4, 4)}
    assert {(use.boxes, use.masked) for use in uses} == {(a, b) for a in (False, True) for b in (False, True)}
    assert {use.offsets for use in uses} == {torch.bfloat16}
    assert len(uses) == 8
    assert {use.queries for use in self_test.uses_of(model, "cuda", torch.float32)} == {6, 4097}


def test_self_test_of_every_use_of_a_model_passes(kernel: str) -> None:
    model = MSDeformAttn(40, 5, 2, 3)
    for dtype in (torch.float32, torch.bfloat16):
        report = self_test.self_test("cpu", dtype, kernel, uses=self_test.uses_of(model, "cpu", dtype))
        assert 0 < report.worst < report.tolerance


def test_self_test_finds_the_one_use_in_which_a_kernel_is_wrong(
    monkeypatch: pytest.MonkeyPatch, native: ctypes.CDLL
) -> None:
    right = self_test.ms_deform_attn_fused

    def wrong_for_boxes_without_a_mask(*inputs: Tensor | None, **options: str) -> Tensor:
        reference, mask = inputs[2], inputs[5]
        assert reference is not None
        output = right(*inputs, **options)  # type: ignore[arg-type]
        return output * 0.5 if reference.shape[-1] == 4 and mask is None else output

    monkeypatch.setattr(self_test, "ms_deform_attn_fused", wrong_for_boxes_without_a_mask)
    self_test.self_test()
    uses = self_test.uses_of(MSDeformAttn(32, 2, 2, 4), "cpu", torch.float32)
    with pytest.raises(SelfTestFailed, match="boxes=True, masked=False"):
        self_test.self_test(uses=uses)
