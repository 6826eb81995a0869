"""benchmarks/vlm_judges.py counts as its docstring says; a random model is at 0.5, so no gold leaks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.fixtures.tiny_clip import write_tiny_clip

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import vlm_judges

    return vlm_judges


def test_auc_counts_pairs_in_order_and_ties_by_half(bench: ModuleType) -> None:
    assert bench.auc([3, 2], [1, 0]) == 1
    assert bench.auc([0, 1], [3, 2]) == 0
    assert bench.auc([1, 1], [1, 1]) == 0.5
    assert bench.auc([2, 0], [1]) == 0.5


def test_false_relations_are_of_the_same_pairs_and_not_in_the_gold(bench: ModuleType) -> None:
    gold = [(str(n), 0, 1, name) for n in range(40) for name in (("on",), ("riding", "near"))[n % 2]]
    gold += [(str(n), 1, 0, "on") for n in range(10)]
    chosen = bench.choose_relations(gold, 20, 0)
    assert [len(of_kind) for of_kind in chosen.values()] == [20, 20, 20]
    for true, other, exchanged in zip(*chosen.values(), strict=True):
        assert true in gold
        assert other[:3] == true[:3]
        assert exchanged == (true[0], true[2], true[1], true[3])
        assert not {other, exchanged} & set(gold)
    assert bench.choose_relations(gold, 20, 0) == chosen
    assert bench.choose_relations(gold, 20, 1) != chosen


def test_clip_is_a_row_with_weights_and_says_so_without(bench: ModuleType, tmp_path: Path) -> None:
    def rows(**given: Path) -> list[dict[str, object]]:
        return list(bench.measure(["clip"], tmp_path, 12, 20, 0, **given))

    assert rows() == [{"judge": "clip", "both": "not available: give --clip FOLDER"}]
    [row] = rows(clip=write_tiny_clip(tmp_path / "clip"))
    assert row["true"] == 20
    assert 0 < row["both"] < 1  # type: ignore[operator]


@pytest.mark.slow
def test_a_random_model_knows_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "vlm_judges.py"), "--work", str(tmp_path), "--json"]
    command += ["--images", "40", "--relations", "100", "--judges", "random"]
    [row] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert row["true"] == 100
    for kind in ("predicate", "exchanged", "both"):
        assert abs(row[kind] - 0.5) < 0.1
