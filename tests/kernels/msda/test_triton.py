"""The Triton kernels: right under the interpreter, refused on old GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from relforge.kernels.msda import triton_launch
from relforge.kernels.msda.dispatch import KernelUnavailable, choose
from relforge.kernels.msda.shapes import Problem

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


def test_more_images_and_heads_than_a_grid_holds_are_refused_with_the_number() -> None:
    problem = Problem(8192, 1, 8, 16, 1, 1, ((1, 1),))
    with pytest.raises(triton_launch.LaunchFailed, match=r"at most 65,535 images x heads .* got 8,192 x 8"):
        triton_launch.launch(None, problem, (torch.empty(0),), 16, 1)


def test_the_table_of_a_level_is_made_once_however_many_there_are() -> None:
    tables = {size: triton_launch.level_table(((size, 1),), torch.device("cpu")) for size in range(1, 400)}
    assert all(
        triton_launch.level_table(((size, 1),), torch.device("cpu")) is table
        for size, table in tables.items()
    )


@pytest.mark.parametrize(
    ("channels", "itemsize", "queries", "expected"),
    [(32, 2, 17821, (64, 4)), (32, 2, 300, (16, 1)), (32, 4, 17821, (32, 4)), (64, 4, 300, (4, 1))],
)
def test_programs_have_fewer_queries_than_threads(
    channels: int, itemsize: int, queries: int, expected: tuple[int, int]
) -> None:
    assert triton_launch.block_and_warps(channels, itemsize, queries) == expected


def test_offsets_are_64_bit_from_2_to_the_31_numbers_of_an_image_on() -> None:
    below, above = (Problem(1, tokens, 8, 32, 1, 1, ((1, tokens),)) for tokens in (2**23 - 1, 2**23))
    assert not triton_launch.constants(below, 16)["WIDE"]
    assert triton_launch.constants(above, 16)["WIDE"]
