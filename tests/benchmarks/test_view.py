"""The made-up runs of benchmarks/view.py are whole, so that what it measures is what users see."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from relforge.reports.view.run_view import RunView

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_a_run_has_relations_and_gold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    view_run = importlib.import_module("view_run")
    monkeypatch.setattr(view_run, "_FILES", 3)

    index = RunView(str(view_run.write_run(tmp_path, 4))).index()

    assert len(index["images"]) == 4
    shown = [one for one in index["verdict"] if one != "m"]
    assert len(shown) == 4 * view_run.RELATIONS
    assert {"r", "w"} <= set(index["verdict"])
