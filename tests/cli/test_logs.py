"""`relforge logs` and `relforge quarantine`: commits, failures, and records set aside."""

from __future__ import annotations


def test_logs_list_commits_in_order(relforge, finished) -> None:
    said = relforge("logs", finished, "--shard", 1, "--json").json

    stages = [commit["stage"] for commit in said["commits"]]
    assert stages == ["ingest", "caption", "parse", "match", "tag", "select"]
    assert said["failures"] == []


def test_quarantine_counts_by_stage_and_reason(relforge, finished) -> None:
    said = relforge("quarantine", finished)
    rows = relforge("quarantine", finished, "--reason", "zero_area_box", "--json").json

    assert "ingest  zero_area_box  3" in said.out
    assert [row["image_id"] for row in rows] == ["00003", "00008", "00009"]


def test_logs_of_a_shard_that_is_not_there_name_those_that_are(relforge, finished) -> None:
    said = relforge("logs", finished, "--shard", 77)

    assert said.code == 64
    assert said.err == f"relforge: no shard 77 in {finished}; it has 0 to 2\n"
