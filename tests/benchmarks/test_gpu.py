"""`benchmarks/gpu.py`: every part runs whole on the CPU without Ray, and nothing measured is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

from gpu_parts import PARTS  # noqa: E402
from gpu_parts.table import render  # noqa: E402

REFUSED = ("ray", "spacy", "pydantic", "typer", "duckdb", "msgspec", "pycocotools", "simplejpeg", "fsspec")
REFUSAL = f"""
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {REFUSED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (refused)", name=name)

sys.meta_path.insert(0, Refuse())
"""


def run_script(
    script: Path, folder: Path, *options: str, **variables: str
) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, the lines of results.jsonl, what was printed."""
    command = [sys.executable, str(script), "--device", "cpu", "--quick", "--out", str(folder), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    results = folder / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    return result.returncode, lines, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed: pip install triton")
@pytest.mark.parametrize("part", [part.name for part in PARTS])
def test_the_part_runs_on_the_cpu_without_ray_and_the_like(tmp_path: Path, part: str) -> None:
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(REFUSAL)
    folder = tmp_path / "out"

    code, lines, printed = run_script(
        ROOT / "benchmarks" / "gpu.py", folder, "--only", part, PYTHONPATH=str(tmp_path / "hook")
    )

    logs = "".join(path.read_text() for path in folder.glob("*.log"))
    assert code == 0, printed + logs[-3000:]
    assert "device" in lines[0], logs
    if lines[-1]["state"] == "skipped":
        pytest.skip(lines[-1]["error"])
    assert lines[-1]["state"] == "ok", printed + logs[-3000:]
    assert any("figure" in line or "check" in line for line in lines)


@pytest.fixture
def own_parts(tmp_path: Path) -> Path:
    """A copy of the script with parts that fail, break, wait and are skipped."""
    copy = tmp_path / "benchmarks"
    shutil.copytree(ROOT / "benchmarks" / "gpu_parts", copy / "gpu_parts")
    shutil.copy(ROOT / "benchmarks" / "gpu.py", copy)
    bodies = {
        "A1": "recorder.figure('first', 1.5, 'ms'); recorder.check('equal', False, difference=2.0)",
        "A2": "recorder.check('equal', True)",
        "A3": "raise ValueError('broken')",
        "B1": "import os; os.abort()",
        "C1": "recorder.figure('before', 7, 'ms'); import time; time.sleep(600)",
        "C2": "raise Skip('nvcc is not installed')",
        "C3": "raise RuntimeError('no peer')",
    }
    for part in PARTS:
        if part.name in bodies:
            text = f"from gpu_parts.recorder import Skip\n\ndef run(recorder):\n    {bodies[part.name]}\n"
            (copy / "gpu_parts" / f"{part.module}.py").write_text(text)
    return copy / "gpu.py"


def states(lines: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    ends = [line for line in lines if "seconds" in line]
    return {line["part"]: (line["state"], line.get("error", "")) for line in ends}


@pytest.mark.slow
def test_a_part_that_fails_breaks_or_waits_stops_no_other_and_keeps_what_it_wrote(
    own_parts: Path, tmp_path: Path
) -> None:
    code, lines, _ = run_script(
        own_parts, tmp_path / "out", "--only", "A1,A2,A3,B1,C1,C2,C3", "--seconds", "16"
    )

    found = states(lines)
    assert code == 1
    assert found["A1"] == ("failed", "check failed: equal")
    assert found["A2"] == ("ok", "")
    assert found["A3"] == ("failed", "ValueError: broken")
    assert found["B1"][0] == "failed"
    assert found["C1"] == ("timeout", "its time ran out")
    assert found["C2"] == found["C3"] == ("skipped", "no time left of 16 s")
    assert {"part": "C1", "figure": "before", "value": 7, "unit": "ms"} in lines
    table = (tmp_path / "out" / "table.md").read_text()
    assert "| C1 | deformable attention against its peers | timeout |" in table
    assert "| before | 7 | ms |" in table
    assert "* check failed: equal (difference 2)" in table


@pytest.mark.slow
def test_missing_figures_are_no_failure_and_a_part_run_again_replaces_its_lines(
    own_parts: Path, tmp_path: Path
) -> None:
    code, lines, printed = run_script(own_parts, tmp_path / "out", "--only", "C2,C3")
    assert code == 0, printed
    assert states(lines) == {"C2": ("skipped", "nvcc is not installed"),
                             "C3": ("failed", "RuntimeError: no peer")}  # fmt: skip

    (own_parts.parent / "gpu_parts" / "tagger_figures.py").write_text(
        "def run(recorder):\n    recorder.figure('speed', 3.25, 'images/s', batch=8)\n"
    )
    code, lines, printed = run_script(own_parts, tmp_path / "out", "--only", "c3")

    table = render(lines)
    assert code == 0, printed
    assert "no peer" not in table
    assert "| speed | 3.25 | images/s | batch 8 |" in table
    assert "| C2 | captioner images per second | skipped |" in table


def test_a_part_that_does_not_exist_is_refused_with_the_names(tmp_path: Path) -> None:
    code, lines, printed = run_script(ROOT / "benchmarks" / "gpu.py", tmp_path, "--only", "A1,Z9")

    assert (code, lines) == (2, [])
    assert "--only: no part is called Z9; choose from A1, A2" in printed


def test_the_boxes_follow_the_order_of_what_a_cut_would_cost() -> None:
    names = [part.name for part in PARTS]
    assert names == sorted(names, key=lambda name: (name in ("B5", "C4", "C5", "C6"), name))
    assert len({part.module for part in PARTS}) == len(PARTS)
    folder = ROOT / "benchmarks" / "gpu_parts"
    assert all((folder / f"{part.module}.py").is_file() for part in PARTS)
