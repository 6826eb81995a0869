"""The made-up runs of benchmarks/label_tools.py have every table, and each tool is measured on them."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from relforge.reports.report.gather import gather

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize("kind", ["gold", "plain"])
def test_a_run_has_every_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(importlib.import_module("view_run"), "_FILES", 3)
    importlib.import_module("label_tools").write(str(tmp_path), "run", "6", kind)

    found = gather(str(tmp_path / "run"))

    assert {"captions", "triplets", "candidates", "scores", "relations"} <= set(found["survival"])
    assert found["survival"]["triplets"] == 60 <= found["survival"]["candidates"]
    assert found["coverage"]["classes"] > 0
    if kind == "gold":
        assert 0 < found["quality"]["kept"]["recall"] < 1
    else:
        assert found["quality"] is None
