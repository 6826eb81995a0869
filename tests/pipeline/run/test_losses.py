"""What counts as lost, kind by kind, from the accounts of shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relforge.pipeline.run.losses import find_example
from relforge.pipeline.run.stage_plan import StagePlan
from relforge.pipeline.run.sums import count_losses
from relforge.pipeline.store.quarantine import quarantine_bytes
from relforge.pipeline.store.run_folder import RunFolder
from relforge.pipeline.store.sidecar import Sidecar
from relforge.stages.contract import Quarantined

CAPTION = StagePlan("caption", 1, ("images",), ("captions",))
INGEST = StagePlan("ingest", 1, (), ("images", "boxes"))
MATCH = StagePlan("match", 1, ("triplets", "boxes"), ("candidates",))


def account(rows_in: int, quarantined: dict[str, int], losses: Any = None) -> Sidecar:
    notes = {} if losses is None else {"losses": losses}
    kept = rows_in - sum(quarantined.values())
    return Sidecar("s", "t", 0, "", {}, "", 0, "", rows_in, 1, kept, {}, quarantined, notes)


def losses_of(step: StagePlan, *accounts: Sidecar) -> dict[str, tuple[int, dict[str, int]]]:
    return {kind: (loss.read, dict(loss.lost)) for kind, loss in count_losses(step, accounts).items()}


def test_a_stage_that_notes_nothing_lost_what_it_quarantined() -> None:
    accounts = [account(10, {"truncated": 2}), account(5, {"truncated": 1, "empty_file": 1})]

    assert losses_of(CAPTION, *accounts) == {"images": (15, {"truncated": 3, "empty_file": 1})}
    assert losses_of(MATCH, *accounts) == {"records": (15, {"truncated": 3, "empty_file": 1})}


def test_what_a_stage_notes_of_another_kind_stands_beside_its_own_records() -> None:
    noted = account(10, {"ambiguous_name": 4}, {"captions": {"read": 30, "lost": {"empty_captions": 3}}})

    assert losses_of(CAPTION, noted) == {
        "images": (10, {"ambiguous_name": 4}),
        "captions": (30, {"empty_captions": 3}),
    }


def test_ingest_notes_all_that_it_reads() -> None:
    noted = account(30, {"zero_area_box": 4}, {"boxes": {"read": 20, "lost": {"zero_area_box": 4}}})

    assert losses_of(INGEST, noted) == {"boxes": (20, {"zero_area_box": 4})}


@pytest.mark.parametrize(
    "losses",
    [7, {"images": 7}, {"images": {"read": "7", "lost": {}}}, {"images": {"read": 7, "lost": {"a": "b"}}}],
)
def test_notes_that_are_damaged_count_as_none(losses: Any) -> None:
    assert losses_of(CAPTION, account(10, {"truncated": 1}, losses)) == {"images": (10, {"truncated": 1})}


def test_an_example_is_the_first_record_of_its_reason_and_not_too_long(tmp_path: Path) -> None:
    records = [
        Quarantined({"image_id": "1"}, "truncated", "cut"),
        Quarantined({"image_id": "7", "box_id": 1}, "zero_area_box"),
        Quarantined({"image_id": "8"}, "bad_file_name", "x" * 1000),
    ]
    folder = RunFolder(tmp_path)
    folder.storage.write("quarantine/ingest/part-00000.parquet", quarantine_bytes("ingest", 0, records, 1)[0])

    assert find_example(folder, "ingest", "truncated") == "cut"
    assert find_example(folder, "ingest", "zero_area_box") == "image_id 7, box_id 1"
    assert find_example(folder, "ingest", "bad_file_name") == "x" * 200 + "..."
    assert find_example(folder, "ingest", "empty_file") is None
