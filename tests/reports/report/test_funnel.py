"""The funnel: rows of every table and losses of every stage, summed over shards."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from relforge.pipeline.store.sidecar import Sidecar
from relforge.reports.report.funnel import Step, count_rows, list_costs, sum_accounts


def sidecar(table: str, rows_in: int, rows_out: int, kept: int, **losses: Any) -> Sidecar:
    return Sidecar("s", table, 0, "", {}, "", 0, "", rows_in, rows_out, kept, **losses)


def test_the_funnel_adds_up_shards_and_counts_a_stage_of_several_tables_once() -> None:
    aside = {"zero_area_box": 1}
    ingest = sum_accounts(
        "ingest",
        {
            "images": [sidecar("images", 9, 2, 8, quarantined=aside)],
            "boxes": [sidecar("boxes", 9, 6, 8, quarantined=aside)],
        },
    )
    shards = [
        sidecar("candidates", 5, 8, 3, dropped={"no_second_box": 2}),
        sidecar("candidates", 4, 1, 1, dropped={"no_second_box": 1, "quantity_of": 2}),
    ]
    match = sum_accounts("match", {"candidates": shards})

    assert (ingest.rows_in, ingest.kept, ingest.lost) == (9, 8, 1)
    assert (match.rows_in, match.kept, match.dropped) == (9, 4, {"no_second_box": 3, "quantity_of": 2})
    assert count_rows([ingest, match]) == {"images": 2, "boxes": 6, "matched triplets": 4, "candidates": 9}


def test_tables_are_in_the_order_of_the_steps_and_gold_is_not_among_them() -> None:
    ingest = Step("ingest", 3, 3, rows_out={"images": 1, "boxes": 2, "gold": 9})
    unknown = Step("quality", 2, 1, rows_out={"quality": 1})
    caption = Step("caption", 1, 1, rows_out={"captions": 2})

    assert list(count_rows([ingest, caption, unknown])) == ["images", "boxes", "captions", "quality"]


def test_costs_are_those_of_the_workers_and_absent_where_a_run_has_none() -> None:
    timed: dict[str, Any] = {"seconds": 1800.0, "cpu_seconds": 3600.0, "gpu_seconds": 900.0}
    shards = [sidecar("captions", 1, 1, 1, **timed), sidecar("captions", 1, 1, 1, **timed)]
    steps = [
        asdict(sum_accounts("caption", {"captions": shards, "second": shards})),
        asdict(sum_accounts("ingest", {"images": [sidecar("images", 1, 1, 1, seconds=36.0)]})),
    ]

    assert list_costs(steps, images=4000) == [
        ("caption", "1.000", "2.000", "0.500", "1,800.0"),
        ("ingest", "0.010", "-", "-", "-"),
        ("all", "1.010", "2.000", "0.500", "1,800.0"),
    ]
