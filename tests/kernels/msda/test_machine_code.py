"""What the Triton kernels compile to for GPUs that are not here: registers, spills and barriers as recorded.

`python benchmarks/msda_machine_code.py --write` records them anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))

import msda_machine_code as code

RECORDED = json.loads(code.RECORD.read_text())


def rows(kernel: str) -> list[dict[str, Any]]:
    return [row for row in RECORDED["rows"] if row["kernel"] == kernel]


def test_what_is_recorded_spills_next_to_nothing_and_forward_waits_at_no_barrier() -> None:
    assert len(rows("forward")) == len(rows("backward")) == len(code.SPECIALISATIONS) * len(code.TARGETS)
    assert {row["spilled_bytes"] for row in RECORDED["rows"] if row["target"] == "sm_90"} == {0}
    assert max(row["spilled_bytes"] for row in RECORDED["rows"]) <= 8
    assert {row["barriers"] for row in rows("forward")} == {0}
    assert all(row["barriers_per_point"] <= 16 for row in rows("backward"))


@pytest.mark.slow
@pytest.mark.parametrize("target", code.TARGETS)
@pytest.mark.parametrize("kernel", ["forward", "backward"])
def test_every_specialisation_compiles_to_the_recorded_registers_spills_and_barriers(
    kernel: str, target: int
) -> None:
    if reason := code.why_unavailable():
        pytest.skip(reason)
    import triton

    if triton.__version__ != RECORDED["triton"]:
        pytest.skip(f"recorded with Triton {RECORDED['triton']}, this is {triton.__version__}")

    found = [code.measure(kernel, case, target, code.shape_of(kernel, case)) for case in code.SPECIALISATIONS]

    assert found == [row for row in rows(kernel) if row["target"] == f"sm_{target}"]
