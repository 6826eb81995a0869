"""A stage that relforge does not define, with a table of its own, appears wherever stages and tables do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SIXTH = "stages.quality.backend=tiny_quality:TinyQuality"


@pytest.fixture
def run(relforge: Any, config: Path, tmp_path: Path) -> Path:
    """10 images in 3 shards, through the five stages and `quality`, which branches off from `captions`."""
    assert relforge("run", config, "--executor", "loop", SIXTH).code == 0
    return tmp_path / "run"


def test_status_and_logs_list_it(relforge, run) -> None:
    stages = {stage["stage"]: stage for stage in relforge("status", run, "--json").json["stages"]}
    commits = relforge("logs", run, "--json").json["commits"]

    assert (stages["quality"]["done"], stages["quality"]["rows_out"]) == (3, 7)
    assert stages["quality"]["dropped"] == {"first": 3}
    assert sum(commit["stage"] == "quality" for commit in commits) == 3


def test_the_report_counts_its_rows_and_losses(relforge, run) -> None:
    found = relforge("report", run, "--json").json

    assert found["survival"]["quality"] == 7
    assert {step["stage"]: step["dropped"] for step in found["steps"]}["quality"] == {"first": 3}
    assert "dropped: first" in (run / "report.html").read_text()


def test_inspect_reads_its_table_folder_and_shards(relforge, run) -> None:
    assert "quality     7" in relforge("inspect", run).out
    assert len(relforge("inspect", run / "quality", "--json").json) == 7
    rows = relforge("inspect", run / "quality" / "part-00000.parquet", "--json").json
    assert rows == [{"image_id": f"0000{i}", "caption_id": 0, "order": 3} for i in (1, 2, 3)]
    assert len(relforge("inspect", run, "--table", "quality", "--where", '"order" = 3', "--json").json) == 7


def test_an_image_shows_its_rows(relforge, run) -> None:
    found = relforge("inspect", run, "--image", "00001", "--json").json

    assert found["quality"] == [{"image_id": "00001", "caption_id": 0, "order": 3}]


def test_the_plan_redoes_it_with_what_it_reads(relforge, run, config) -> None:
    changed = relforge("plan", config, SIXTH, "stages.caption.dropped=[1]", "--json").json["todo"]
    removed = relforge("plan", config, "--json").json["todo"]

    assert set(changed) >= {"caption", "quality", "select"}
    assert removed == {}
