"""A stage of the user's own, as docs/adding.md describes it, beside the stages that read the same table."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from shims import FailFrom

from relforge.cli.app import invoke
from relforge.pipeline.config import ConfigError, Source, check, resolve
from relforge.pipeline.errors import Outcome, RunError
from relforge.pipeline.run.driver import Driver
from relforge.pipeline.run.execute import Executor, run
from relforge.pipeline.run.ingest import ingest
from relforge.pipeline.run.job import Job
from relforge.pipeline.run.plan import Plan, make_plan
from relforge.pipeline.run.ray_stream import WorkerContext, run_row
from relforge.pipeline.run.rerun import rerun
from relforge.pipeline.run.stage_plan import StagePlan
from relforge.pipeline.run.status import status
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.run.work import to_complete
from relforge.pipeline.run.worker import ShardReport, ShardWorker
from relforge.pipeline.store.local_storage import LocalStorage
from relforge.pipeline.store.run_folder import RunFolder
from relforge.registry import Registry
from relforge.stages.registry import BACKENDS
from relforge.stages.tables import TABLES, TableSpec
from tests.fixtures.documented import code_blocks, write_module
from tests.fixtures.run_fixtures import Make

MakeJob = Callable[..., Job]


@pytest.fixture
def job(ram: Path, source: Make, monkeypatch: pytest.MonkeyPatch) -> MakeJob:
    """`job(words=[...])`: the tiny job as a config, with the documented stage and its documented entry."""
    module = write_module("A stage", ram)
    monkeypatch.syspath_prepend(str(ram))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ram), os.environ["PYTHONPATH"]]))
    assert module.name == "image_labels.py"
    path = str(source(10))

    def make(folder: str = "run", **labels: Any) -> Job:
        entry = yaml.safe_load(code_blocks("A stage", "yaml")[0])["stages"]["labels"]
        light = {"resources": {"num_cpus": 0.5}}
        values = {
            "dataset": {"name": "tiny", "split": "train", "format": "tiny:TinySource", "path": path},
            "run": {"folder": str(ram / folder), "shard_images": 4},
            "stages": {
                "caption": {"backend": "tiny:TinyCaption", **light},
                "labels": {**entry, **labels},
                "parse": {"backend": "tiny:TinyParse", **light},
                "match": {"backend": "tiny:TinyMatch", **light},
            },
        }
        written = Source("own.yaml", values)
        return resolve(check(written), written)

    return make


def labels_of(made: Job) -> list[dict[str, Any]]:
    folder, plan = RunFolder(made.folder), make_plan(made)
    rows: list[dict[str, Any]] = []
    for shard, sidecar in Survey(folder, plan).sidecars(plan.step("labels")).items():
        schema = plan.spec("image_labels").schema
        rows += folder.read_table("image_labels", shard, sidecar, schema).to_pylist()
    return rows


# --- the whole run


@pytest.mark.parametrize("executor", ["loop", "ray"])
def test_the_documented_stage_runs_beside_parse_and_its_table_is_committed(
    job: MakeJob, executor: Executor
) -> None:
    made = job()

    result = run(made, executor=executor)

    assert (result.outcome, result.message) == (
        Outcome.COMPLETE,
        "complete: 3 shards, 15 commits in this run",
    )
    assert labels_of(made) == [
        {"image_id": f"{image:05d}", "label": "caption", "support": 1} for image in range(10)
    ]
    assert run(made, executor=executor).message == "everything is done already"


@pytest.mark.slow
@pytest.mark.alone
def test_both_executors_make_the_same_data(job: MakeJob) -> None:
    assert (
        run(job("a"), executor="loop").dataset_hash == run(job("b"), executor="ray").dataset_hash is not None
    )


def test_a_changed_option_redoes_that_branch_alone_and_a_neutral_one_nothing(job: MakeJob) -> None:
    run(job(), executor="loop")

    assert run(job(words=["of"]), executor="loop").committed == {"labels": 3}
    assert run(job(words=["of"], batch_size=1), executor="loop").committed == {}


def test_rerun_downstream_follows_every_branch_and_no_sibling(job: MakeJob) -> None:
    made = job()
    run(made, executor="loop")
    for table in ("image_labels", "triplets", "candidates"):
        for path in Path(made.folder).glob(f"**/{table}/part-00001.*"):
            path.unlink()

    redone = rerun(made.folder, "parse", shards=[1], downstream=True, allow_code=True, executor="loop")
    assert redone.committed == {"parse": 1, "match": 1}
    redone = rerun(made.folder, "caption", shards=[1], downstream=True, allow_code=True, executor="loop")
    assert redone.committed == {"caption": 1, "labels": 1}
    assert status(made.folder).complete


def test_status_shows_the_stage_and_only_its_descendants_become_stale(job: MakeJob) -> None:
    made = job()
    run(made, executor="loop")
    (Path(made.folder) / "_state/triplets/part-00000.json").unlink()

    found = {stage.stage: stage for stage in status(made.folder).stages}

    assert (found["labels"].done, found["labels"].rows_out) == (3, 10)
    assert (found["parse"].broken, found["match"].stale) == (1, 1)


def test_an_entry_in_the_registry_gives_it_a_name(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Registry("labels backend", {"words": "image_labels:ImageLabels"})
    monkeypatch.setitem(BACKENDS, "labels", entry)

    assert run(job(backend="words"), executor="loop").outcome == Outcome.COMPLETE
    with pytest.raises(ConfigError, match=r"unknown labels backend 'wrods'; did you mean 'words'\?"):
        job(backend="wrods")


# --- one branch fails


def test_a_branch_that_fails_holds_up_its_descendants_and_not_its_sibling(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relforge.pipeline.run.worker.time.sleep", lambda seconds: None)
    made = job()
    broken = LocalStorage(made.folder, FailFrom(errno.EIO, "image_labels/"))

    result = run(made, executor="loop", storage=broken)

    assert result.outcome == Outcome.INCOMPLETE
    assert result.message.startswith("stage 'labels', shard 0 and 2 more could not be made")
    assert result.committed == {"ingest": 3, "caption": 3, "parse": 3, "match": 3}
    assert run(made, executor="loop").committed == {"labels": 3}


@pytest.mark.parametrize(("failed", "made_stages"), [("labels", ["parse", "match"]), ("parse", ["labels"])])
def test_on_ray_a_stage_waits_for_its_own_ancestors_only(
    job: MakeJob, failed: str, made_stages: list[str]
) -> None:
    plan, folder = make_plan(job()), RunFolder(job().folder)
    list(ingest(plan, folder))
    ShardWorker(plan, "caption", folder).run(0)
    with Driver(folder) as driver:
        context = WorkerContext(plan, folder, to_complete(Survey(folder, plan)), driver.id)
        reports = [ShardReport("caption", 0, "kept"), ShardReport(failed, 0, "retries_exhausted")]
        row: dict[str, Any] = {"shard": 0, "reports": json.dumps([asdict(report) for report in reports])}
        for name in ("labels", "parse", "match"):
            if name != failed:
                row = run_row(context, ShardWorker(plan, name, folder), row)

    assert [(r["stage"], r["state"]) for r in json.loads(row["reports"])[2:]] == [
        (name, "committed") for name in made_stages
    ]


# --- what it declares


def test_the_order_follows_from_the_tables(job: MakeJob) -> None:
    plan = make_plan(job())

    assert plan.descendants("caption") == ("labels", "parse", "match")
    assert plan.descendants("labels") == ()
    assert plan.ancestors("match") == {"ingest", "caption", "parse"}
    assert plan.ancestors("labels") == {"ingest", "caption"}


def test_the_schema_survives_run_json_and_counts_in_the_key(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    import image_labels  # written by the fixture

    plan = make_plan(job())
    assert Plan.from_record(json.loads(json.dumps(plan.to_record()))).step("labels") == plan.step("labels")

    wider = TableSpec(image_labels.COLUMNS.append(pa.field("score", pa.float32())))
    monkeypatch.setattr(image_labels.ImageLabels, "schemas", {"image_labels": wider})
    assert make_plan(job()).step("labels").key != plan.step("labels").key


def test_rows_that_do_not_fit_the_declared_schema_are_refused(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    import image_labels

    wider = TableSpec(image_labels.COLUMNS.append(pa.field("score", pa.float32())))
    monkeypatch.setattr(image_labels.ImageLabels, "schemas", {"image_labels": wider})

    result = run(job(), executor="loop")

    assert result.outcome == Outcome.FAILED
    assert "table 'image_labels': missing columns ['score']" in result.message


def test_inspect_and_report_show_the_new_table(job: MakeJob, capsys: pytest.CaptureFixture[str]) -> None:
    made = job()
    run(made, executor="loop")

    assert invoke(["inspect", made.folder, "--table", "image_labels", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["label"] == "caption"
    assert invoke(["report", made.folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["survival"]["image_labels"] == 10


class Declared:
    """A stage that is nothing but what it declares."""

    name, version = "own", 1

    def __init__(self, inputs: Any, outputs: Any, schemas: Any) -> None:
        self.inputs, self.outputs, self.schemas = inputs, outputs, schemas


SPEC = TableSpec(pa.schema([pa.field("image_id", pa.string(), nullable=False)]))


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "schemas", "sentence"),
    [
        ("own", ("captions",), ("mine",), {}, "table 'mine' needs a schema"),
        ("own", ("captions",), ("boxes",), {"boxes": SPEC}, "table 'boxes' is built in"),
        ("own", ("captions",), ("logs",), {"logs": SPEC}, "'logs' cannot name a stage or table"),
        ("own", ("captions",), ("../x",), {"../x": SPEC}, "cannot name a stage or table"),
        ("ingest", ("captions",), ("mine",), {"mine": SPEC}, "'ingest' cannot name a stage or table"),
        ("own", (), ("mine",), {"mine": SPEC}, "has to read a table and write one"),
    ],
)
def test_a_declaration_that_cannot_work_is_one_sentence(
    name: str, inputs: Any, outputs: Any, schemas: Any, sentence: str
) -> None:
    with pytest.raises(RunError, match=sentence):
        StagePlan.of(name, Declared(inputs, outputs, schemas))  # type: ignore[arg-type]


def test_a_stage_may_add_columns_to_a_built_in_table_and_take_none_away() -> None:
    built_in = TABLES["relations"]
    wider = TableSpec(built_in.schema.append(pa.field("mood", pa.string())), built_in.sort_keys)

    step = StagePlan.of("own", Declared(("scores",), ("relations",), {"relations": wider}))  # type: ignore[arg-type]

    assert step.specs["relations"] == wider
    other = TableSpec(wider.schema.remove(1), wider.sort_keys[:1])
    with pytest.raises(RunError, match="'relations' is built in"):
        StagePlan.of("own", Declared(("scores",), ("relations",), {"relations": other}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("columns", "keys", "sentence"),
    [
        ([pa.field("label", pa.string())], ("label",), "needs the column image_id"),
        (list(SPEC.schema), ("image_id", "label"), "must be columns of the table"),
        (list(SPEC.schema), (), "image_id first"),
    ],
)
def test_a_table_without_image_id_or_order_is_refused(columns: Any, keys: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TableSpec(pa.schema(columns), keys)
