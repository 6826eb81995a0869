"""`make bench-downstream` in small: labels, pre-training, fine-tuning and official measures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "downstream.py"
SMALL = ["--images", "48", "--gold", "24", "--labelled", "16", "--steps", "2", "2", "--threshold", "0"]


@pytest.mark.slow
def test_the_whole_path_runs_and_a_second_call_has_its_results(tmp_path: Path) -> None:
    table = tmp_path / "downstream.md"
    table.write_text("# Figures of before\n\n## Reading\n\nWhat people wrote.\n")
    command = [sys.executable, str(SCRIPT), "--work", str(tmp_path / "work"), "--seeds", "0", *SMALL]
    subprocess.run([*command, "--write", str(table)], check=True, capture_output=True)

    written = table.read_text()
    assert written.endswith("## Reading\n\nWhat people wrote.\n")
    assert "of before" not in written
    for regime in ("zero-shot", "1 % (", "10 % (", "100 % (36 images)", "100 %, unseen verbs left out (36"):
        assert f"| {regime}" in written
    for measure in ("role_average_precision scenario 1", "score_wtd"):
        assert measure in written

    # when nothing is new, nothing is trained
    before = written_at(tmp_path / "work")
    assert len(before) == 2 + 2 * 4 + 3  # pre-trained, fine-tuned, and three detectors
    again = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True).stdout
    shown = json.loads(again)
    assert set(shown["recognition"]["zero-shot"]) == {"gold", "gold and pseudo-labels"}
    assert 0 <= shown["recognition"]["100 %"]["gold"]["0"]["Full"] <= 1
    assert before == written_at(tmp_path / "work")


def written_at(work: Path) -> dict[Path, int]:
    """When each trained model was written."""
    return {path: path.stat().st_mtime_ns for path in work.rglob("model.safetensors")}
