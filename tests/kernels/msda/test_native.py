"""The native library: clean under sanitizers, frugal with memory, usable after a fork."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from relforge.kernels.msda.functional import ms_deform_attn
from relforge.kernels.native import build
from tests.fixtures.sanitized import report_of
from tests.kernels.msda.agreement import assert_agrees
from tests.kernels.msda.cases import make_case


@pytest.mark.slow
def test_address_and_undefined_behaviour_sanitizers_find_nothing(tmp_path: Path) -> None:
    assert "portable" in report_of(build.MSDA, Path(__file__).with_name("sanitized.cpp"), tmp_path)


def test_idle_buffers_can_be_given_back(native: ctypes.CDLL) -> None:
    case = make_case([(64, 64)], queries=2000, batch=1)
    ms_deform_attn(case.value, case.shapes, case.locations, case.weights, kernel="cpu")
    assert native.rf_release_buffers() > 0
    assert native.rf_release_buffers() == 0
    assert_agrees(case, "cpu")


def test_many_small_calls_keep_no_more_memory_than_one(native: ctypes.CDLL) -> None:
    case = make_case([(4, 4)], queries=10)
    arguments = (case.value, case.shapes, case.locations, case.weights)

    def kept_after(calls: int) -> int:
        native.rf_release_buffers()
        for _ in range(calls):
            ms_deform_attn(*arguments, kernel="cpu")
        kept: int = native.rf_release_buffers()
        return kept

    assert kept_after(50) == kept_after(1)


def test_a_forked_child_computes_too(native: ctypes.CDLL) -> None:
    case = make_case([(32, 32)], queries=1000, batch=1)
    arguments = (case.value, case.shapes, case.locations, case.weights)
    expected = ms_deform_attn(*arguments, kernel="cpu")
    child = os.fork()
    if child == 0:  # the child of a threaded process: exit without running any of the test session's clean-up
        # compared by NumPy: torch's own comparison would wait for OpenMP threads that the child does not have
        same = (ms_deform_attn(*arguments, kernel="cpu").numpy() == expected.numpy()).all()
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
