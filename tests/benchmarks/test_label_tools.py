"""The made-up runs of benchmarks/label_tools.py have every table, and each tool is measured on them."""

from __future__ import annotations

import importlib
from pathlib import Path

import pyarrow.dataset as ds
import pytest

import relforge.reports.report.gather as report_gather
from relforge.reports import difference
from relforge.reports.query import connect
from relforge.reports.report.gather import gather

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize("kind", ["gold", "plain"])
def test_a_run_has_every_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(importlib.import_module("view_run"), "_FILES", 3)
    importlib.import_module("label_tools").write(str(tmp_path), "run", "6", kind)

    found = gather(str(tmp_path / "run"))

    with monkeypatch.context() as patched:  # DuckDB that opens the files itself finds what Arrow hands to it
        patched.setattr(report_gather, "connect", lambda datasets, direct: connect(datasets))
        assert gather(str(tmp_path / "run")) == found
    assert {"captions", "triplets", "candidates", "scores", "relations"} <= set(found["survival"])
    assert found["survival"]["triplets"] == 60 <= found["survival"]["candidates"]
    assert found["coverage"]["classes"] > 0
    if kind == "gold":
        assert 0 < found["quality"]["kept"]["recall"] < 1
    else:
        assert found["quality"] is None


def test_a_difference_is_that_of_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(importlib.import_module("view_run"), "_FILES", 3)
    runs = [str(tmp_path / name) for name in ("gold", "other")]
    scores = []
    for run, kind in zip(runs, ("gold", "other"), strict=True):
        importlib.import_module("label_tools").write(str(tmp_path), Path(run).name, "6", kind)
        rows = ds.dataset(f"{run}/relations").to_table().to_pylist()
        key = ("image_id", "subject_box", "predicate", "object_box")
        scores.append({tuple(row[name] for name in key): row["score"] for row in rows})

    found = difference.compare_runs(runs[0], runs[1], tolerance=1e-6, examples=4)

    first, second = scores
    both = set(first) & set(second)
    kinds = {"added": set(second) - both, "removed": set(first) - both}
    kinds["rescored"] = {one for one in both if abs(first[one] - second[one]) > 1e-6}
    assert all(kinds.values())
    assert found["relations"] == {"in A": len(first), "in B": len(second)} | {
        "unchanged": len(both - kinds["rescored"]),
        **{kind: len(keys) for kind, keys in kinds.items()},
    }
    for kind, keys in kinds.items():
        images = [row["image_id"] for row in found["examples"][kind]]
        assert images == sorted(one[0] for one in keys)[: len(images)]
        assert len(images) == min(4, len(keys))
    for row in found["predicates"]:
        for kind, keys in kinds.items():
            assert row[kind] == sum(one[2] == row["predicate"] for one in keys)
