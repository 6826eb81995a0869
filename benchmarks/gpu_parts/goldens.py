"""A3: what the published implementation computed, computed on the device in float32."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from gpu_parts.recorder import Recorder, Skip
from relforge.kernels.msda.module import MSDeformAttn

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "tests" / "goldens" / "g0_msda_units.npz"
SUITES = {
    "deformable attention": ["tests/kernels/msda/test_goldens.py"],
    "R-Tagger": ["tests/models/parity/test_inference.py", "-k", "rtagger"],
}


def run_suite(arguments: list[str], device: str) -> tuple[int, str]:
    """(exit code, report) of pytest in a process of its own, on the device."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]
    environment = {**os.environ, "RELFORGE_TEST_DEVICE": device}
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    return result.returncode, result.stdout + result.stderr


def bfloat16_difference(device: str) -> float:
    """How far the module under bfloat16 autocast is from the published output, relative to its largest
    number."""
    with np.load(UNITS) as arrays:
        golden = {name: torch.from_numpy(arrays[name]).to(device) for name in arrays.files}
    module = MSDeformAttn(d_model=32, n_levels=4, n_heads=4, n_points=3).to(device)
    prefix = "module/state/"
    module.load_state_dict({key[len(prefix) :]: v for key, v in golden.items() if key.startswith(prefix)})
    with torch.no_grad(), torch.autocast(device, torch.bfloat16):
        output = module(
            golden["module/query"],
            golden["module/ref_points"],
            golden["module/input"],
            golden["core/shapes"].tolist(),
            golden["module/padding_mask"],
        )
    expected = golden["module/out_points"]
    return float((output.float() - expected).abs().max() / expected.abs().max())


def run(recorder: Recorder) -> None:
    if find_spec("pytest") is None:
        raise Skip("pytest is not installed: pip install pytest")
    if not UNITS.is_file():
        raise Skip("the checkout has no tests/goldens")
    recorder.figure("module in bfloat16, relative difference", bfloat16_difference(recorder.device))
    for name, arguments in list(SUITES.items())[: 1 if recorder.tiny else None]:
        code, report = run_suite(arguments, recorder.device)
        recorder.text(name.replace(" ", "-"), report)
        counts = {f"tests_{word}": int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped)", report)}
        recorder.check(f"goldens of {name}", code == 0 and "tests_passed" in counts, **counts)
