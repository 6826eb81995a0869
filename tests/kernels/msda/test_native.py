"""The C++ is clean under sanitizers, and the library is built and found as promised."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relforge.kernels.msda.functional import ms_deform_attn
from relforge.kernels.native import build
from tests.fixtures.sanitized import report_of
from tests.kernels.msda.agreement import assert_agrees

ROOT = Path(__file__).resolve().parents[3]


def test_address_and_undefined_behaviour_sanitizers_find_nothing(tmp_path):
    assert "portable" in report_of(build.MSDA, Path(__file__).with_name("sanitized.cpp"), tmp_path)


def test_without_a_compiler_the_build_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    with pytest.raises(build.BuildError, match="install g\\+\\+ or clang\\+\\+, or set CXX"):
        build.MSDA.compile(tmp_path / "msda.so")


def test_a_compiler_that_fails_leaves_no_library_and_shows_its_complaint(monkeypatch, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'disk is full' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(build.BuildError, match="disk is full"):
        build.MSDA.compile(tmp_path / "out" / "msda.so")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_machine_without_compiler_or_cache_still_computes(tmp_path):
    code = (
        "import torch; from relforge.kernels.msda.dispatch import describe;"
        "from relforge.kernels.msda.self_test import self_test;"
        "print(self_test().kernel, '|', describe()['cpu'])"
    )
    environment = {**os.environ, "CXX": "/nonexistent/c++", "XDG_CACHE_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    if "available" in result.stdout:
        pytest.skip("an installed library is found first")
    assert result.stdout.startswith("reference | no C++ compiler found")


def test_idle_buffers_can_be_given_back(case, native):
    problem = case([(64, 64)], queries=2000, batch=1)
    ms_deform_attn(problem.value, problem.shapes, problem.locations, problem.weights, kernel="cpu")
    assert native.rf_release_buffers() > 0
    assert native.rf_release_buffers() == 0
    assert_agrees(problem, "cpu")


def test_many_small_calls_keep_no_more_memory_than_one(case, native):
    problem = case([(4, 4)], queries=10)
    arguments = (problem.value, problem.shapes, problem.locations, problem.weights)

    def kept_after(calls):
        native.rf_release_buffers()
        for _ in range(calls):
            ms_deform_attn(*arguments, kernel="cpu")
        return native.rf_release_buffers()

    assert kept_after(50) == kept_after(1)


def test_a_forked_child_computes_too(case, native):
    problem = case([(32, 32)], queries=1000, batch=1)
    arguments = (problem.value, problem.shapes, problem.locations, problem.weights)
    expected = ms_deform_attn(*arguments, kernel="cpu")
    child = os.fork()
    if child == 0:  # the child of a threaded process: exit without running any of the test session's clean-up
        # compared by NumPy: torch's own comparison would wait for OpenMP threads that the child does not have
        same = (ms_deform_attn(*arguments, kernel="cpu").numpy() == expected.numpy()).all()
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
