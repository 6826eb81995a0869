"""benchmarks/round_two.py: what it reads of a run, and what it writes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.fixtures.labelled import label_world

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import round_two

    return round_two


def test_the_quality_of_a_first_round_is_the_reports(bench: ModuleType, tmp_path: Path) -> None:
    found = bench.quality(str(label_world(tmp_path, images=4)))

    assert set(found) == {"relations", "precision", "recall", "F1", "best F1", "mAP"}
    assert found["relations"] > 0
    share = 2 * found["precision"] * found["recall"] / (found["precision"] + found["recall"])
    assert found["F1"] == pytest.approx(share)


def test_tables_have_the_mean_and_the_range_of_the_seeds(bench: ModuleType) -> None:
    labels = {"round one": [{"relations": 10, "F1": 0.2}, {"relations": 20, "F1": 0.4}]}
    lines = bench.table("labels by", labels, ("relations", "F1", "in round one"))

    assert lines[2] == "| round one | 15 (10 to 20) | 0.300 (0.200 to 0.400) |  |"
    assert bench.spread([0.5]) == "0.500"


def test_what_follows_a_reading_stays(bench: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "round_two.md"
    page.write_text("old tables\n\n## Reading\n\nWhat it means.\n")
    shown = {"labels": {"round one": [{"relations": 3}]}, "models": {"longer": [{"mAP": 0.5}]}}

    bench.write(page, bench.Lengths(2, 1, 1, "blip"), [0], shown, 60.0)

    text = page.read_text()
    assert "--seeds 0 --images 2 --held 1 --steps 1 --captions blip" in text
    assert "| longer | 0.500 |" in text
    assert text.endswith("## Reading\n\nWhat it means.\n")
    assert "old tables" not in text
