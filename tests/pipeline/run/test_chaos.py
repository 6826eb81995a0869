"""A small part of `make chaos`: every stage with the shipped models, killed at seeded places."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.chaos.__main__ import run_series, summary
from tests.chaos.work import read_kept

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def path_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A series puts this checkout on the path of Ray's workers; other tests want theirs."""
    monkeypatch.setenv("PYTHONPATH", os.environ["PYTHONPATH"])


@pytest.mark.parametrize("executor", ["loop", pytest.param("ray", marks=pytest.mark.alone)])
def test_killed_runs_of_stages_that_ask_end_in_the_same_bytes_and_answers(
    ram: Path, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai", reason="pip install 'relforge[vlm]'")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)

    found = run_series(ram, seed=3, kills=60, executors=[executor], cases=1, per_case=5, job="asked")

    assert [one["equal"] for one in found] == [True], found
    assert len(found[0]["kills"]) >= 3
    assert len(read_kept(str(ram / "reference"))) > 10
    assert any(kill["stage"] in ("propose", "tag") for kill in found[0]["kills"])


@pytest.mark.parametrize("executor", ["loop", "loop-s3"])
def test_killed_runs_of_the_shipped_models_end_in_the_bytes_of_an_undisturbed_one(
    ram: Path, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # else every driver would first import pytest, as the main module
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)

    found = run_series(ram, seed=7, kills=60, executors=[executor], cases=1, per_case=6)

    assert [one["equal"] for one in found] == [True], found
    kills = found[0]["kills"]
    assert len(kills) >= 4
    assert len({kill["stage"] for kill in kills}) >= 3
    assert f"| {executor} | 1 |" in summary(found)
