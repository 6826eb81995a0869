"""`relforge status`: a table that fits a page, and what each stage waits for."""

from __future__ import annotations

import shutil

import pytest

from relforge.cli.status import describe_stage, print_stages
from relforge.pipeline.run.status import RunStatus, StageStatus


def test_the_table_and_the_reasons_below_it_fit_80_columns(relforge, finished) -> None:
    said = relforge("status", finished)

    assert max(map(len, said.out.splitlines()[1:])) <= 80
    assert said.out.splitlines()[1].split("  ")[-1] == "quarantined"
    assert any(
        line.split() == ["ingest", "quarantined:", "zero_area_box", "3"] for line in said.out.splitlines()
    )


def test_many_reasons_are_wrapped_at_80_columns(capsys) -> None:
    many = {f"a_reason_of_some_length_{number}": 10**number for number in range(9)}
    stage = StageStatus("image_support", 9, 9, 0, 0, 0, 0, 0, 10**9, 5, dropped=many, quarantined=many)

    print_stages(RunStatus("run", "d", "fixed", True, None, [], [stage]))

    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "a_reason_of_some_length_8 100,000,000" in " ".join(said.split())


def test_each_stage_says_what_it_waits_for(relforge, finished) -> None:
    for folder in (finished, finished / "_state"):
        for table in ("triplets", "candidates"):
            shutil.rmtree(folder / table)
        for file in (folder / "captions").glob("part-00001*"):
            file.unlink()

    said = relforge("status", finished)
    found = {
        line.split("  ")[0]: line for line in said.out.splitlines() if "missing" in line or "stale" in line
    }

    assert said.code == 2
    assert found["caption"].endswith("1 missing")
    assert found["parse"].endswith("3 missing; waits for caption (1)")
    assert found["match"].endswith("3 missing; waits for parse (3)")
    assert found["select"].endswith("3 stale; waits for tag (3)")
    waits = {
        stage["stage"]: stage["waits_for"] for stage in relforge("status", finished, "--json").json["stages"]
    }
    assert waits["match"] == {"parse": 3}


@pytest.mark.parametrize(
    ("stage", "sentence"), [("ingest", "reads its source"), ("parse", "waits for ingest to reach its end")]
)
def test_before_the_source_is_read_stages_wait_for_ingest(stage, sentence) -> None:
    found = StageStatus(stage, None, 0, 0, 0, 0, 0, 0, 0, 0, reads_on=True)

    assert describe_stage(found) == [sentence]
