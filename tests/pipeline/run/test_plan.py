"""The order of stages comes from the tables they read and write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relforge.pipeline.errors import RunError
from relforge.pipeline.run.job import Job, StageSpec
from relforge.pipeline.run.plan import Plan, make_plan
from tests.fixtures.tiny import tiny_job


def test_stages_are_ordered_by_their_tables(tmp_path, source):
    plan = make_plan(tiny_job(tmp_path / "run", source()))

    assert [step.name for step in plan.steps] == ["ingest", "caption", "parse", "match"]
    assert plan.descendants("caption") == ("parse", "match")
    assert plan.descendants("match") == ()
    assert [parent.name for parent in plan.parents(plan.step("match"))] == ["ingest", "parse"]


def test_a_table_that_nobody_writes_is_named(tmp_path, source):
    job = tiny_job(tmp_path / "run", source())
    job = replace(job, stages=tuple(spec for spec in job.stages if spec.name != "parse"))

    with pytest.raises(RunError, match="stage 'match' reads table 'triplets', which no stage"):
        make_plan(job)


def test_two_writers_of_one_table_are_named(tmp_path, source):
    job = tiny_job(tmp_path / "run", source())
    job = replace(job, stages=(*job.stages, StageSpec("tag", "tiny:TinyMatch")))

    with pytest.raises(RunError, match="both write table 'candidates'"):
        make_plan(job)


def test_job_and_plan_survive_run_json(tmp_path, source):
    job = tiny_job(tmp_path / "run", source())
    plan = make_plan(job)

    assert Job.from_dict(job.to_dict()) == job
    assert Plan.from_record(plan.to_record()).to_record() == plan.to_record()


def test_a_run_json_of_earlier_versions_is_read(tmp_path, source):
    plan = make_plan(tiny_job(tmp_path / "run", source()))
    record = plan.to_record()
    for step in record["steps"]:
        del step["schemas"]  # came with stages that declare tables of their own

    assert Plan.from_record(record).steps == plan.steps


def test_a_run_folder_of_another_format_is_refused(tmp_path, source):
    record = make_plan(tiny_job(tmp_path / "run", source())).to_record()

    with pytest.raises(RunError, match="format 99"):
        Plan.from_record({**record, "format": 99})


def test_an_unknown_stage_name_lists_the_choices(tmp_path, source):
    with pytest.raises(RunError, match="no stage 'captoin'; it has ingest, caption, parse, match"):
        make_plan(tiny_job(tmp_path / "run", source())).step("captoin")


@pytest.mark.parametrize("name", ["../../elsewhere", 'images" UNION SELECT 1', "/etc"])
def test_a_run_folder_that_names_a_table_outside_itself_is_refused(tmp_path, source, name):
    record = make_plan(tiny_job(tmp_path / "run", source())).to_record()
    record["steps"][1]["outputs"] = [name]

    with pytest.raises(RunError, match="cannot name a stage or table"):
        Plan.from_record(record)
