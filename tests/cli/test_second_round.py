"""`relforge run CONFIG --relabel MODEL`: the same boxes again, by the shipped models of the drawn world."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relforge.pipeline.config import Source, load
from relforge.pipeline.config.relabel import next_folder, second_round
from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.stages.relabel.stage import RelabelStage
from tests.fixtures.labelled import label_world

WEIGHTS = Path(__file__).resolve().parents[2] / "demo" / "weights"
SEEN = ("stages.relabel.short_side=80", "stages.relabel.long_side=96")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a first round; its config is beside it."""
    return label_world(tmp_path_factory.mktemp("rounds"), images=8, shard_images=3)


@pytest.fixture
def config(first: Path) -> Path:
    shutil.rmtree(first.with_name("run_round_2"), ignore_errors=True)
    return first.with_name("world.yaml")


@pytest.mark.parametrize("model", ["parsed", "rtagger"])
def test_a_second_round_says_of_every_relation_what_the_first_said(
    model: str, relforge: Any, first: Path, config: Path
) -> None:
    asked = (config, "--relabel", WEIGHTS / model, *SEEN)
    assert "relabel" in relforge("plan", *asked).out
    said = relforge("run", *asked, "--executor", "loop")
    assert said.code == 0, said.err
    second = first.with_name("run_round_2")

    states = relforge("status", second, "--verify", "--json").json["stages"]
    assert [one["stage"] for one in states] == ["ingest", "relabel", "select"]
    ends = ("image_id", "subject", "predicate", "object")
    before = relforge("inspect", first, "--table", "relations", "--json").json
    scores = {tuple(row[key] for key in ends): row["score"] for row in before}
    now = relforge("inspect", second, "--table", "relations", "--json").json
    assert {row["rule"] for row in now} == {"relabelled"}
    assert {row["support"] for row in now} == {0}
    assert {row["tagger"].split(":")[0] for row in now} == {model}
    agreed = [row for row in now if row["first_score"] is not None]
    assert agreed
    assert len(agreed) < len(now)
    for row in now:
        assert row["first_score"] == scores.get(tuple(row[key] for key in ends))
    new = relforge("inspect", second, "--where", "first_score IS NULL", "--json").json
    assert len(new) == len(now) - len(agreed)

    report = relforge("report", second)
    assert (
        f"relabelled the boxes of {first}: of {len(before)} relations there it keeps {len(agreed)}"
        in report.out
    )
    assert "Agreement with the first round" in (second / "report.html").read_text()
    rounds = relforge("report", second, "--json").json["rounds"]
    assert rounds["missing"] == len(before) - len(agreed)
    gold = {
        tuple(row[key] for key in ends)
        for row in relforge("inspect", first, "--table", "gold", "--json").json
    }
    right = [tuple(row[key] for key in ends) in gold for row in agreed]
    assert rounds["total"]["both_right"] == pytest.approx(sum(right) / len(right))
    assert relforge("report", first, "--json").json["rounds"] is None
    counts = relforge("diff", first, second, "--json").json["relations"]
    assert (counts["in A"], counts["in B"]) == (len(before), len(now))
    assert counts["removed"] == rounds["missing"]


def test_a_round_killed_in_every_shard_ends_in_the_same_bytes(config: Path, first: Path) -> None:
    overrides = [*SEEN, f"run.folder={first}"]
    job = load(str(config), overrides, relabel=str(WEIGHTS / "parsed"))
    undisturbed = run(job, executor="loop").dataset_hash
    shutil.rmtree(job.folder)
    original: Callable[..., Any] = RelabelStage.process

    class Killed(BaseException):
        pass

    for shard in range(3):

        def process(self: Any, tables: Any) -> Any:
            original(self, tables)
            raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RelabelStage, "process", process)
            with pytest.raises(Killed):
                run(job, executor="loop")
        done = 0

        def process_one(self: Any, tables: Any) -> Any:
            nonlocal done
            done += 1
            if done > 1:
                raise Killed
            return original(self, tables)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RelabelStage, "process", process_one)
            if shard < 2:
                with pytest.raises(Killed):
                    run(job, executor="loop")
    result = run(job, executor="loop")
    assert result.outcome == Outcome.COMPLETE
    assert undisturbed
    assert result.dataset_hash == undisturbed


@pytest.mark.slow
@pytest.mark.alone
def test_ray_makes_the_same_bytes(config: Path) -> None:
    job = load(str(config), SEEN, relabel=str(WEIGHTS / "parsed"))
    found = run(job, executor="loop").dataset_hash
    shutil.rmtree(job.folder)

    assert found
    assert run(job, executor="ray").dataset_hash == found


def test_a_model_that_is_not_there_is_one_sentence(relforge: Any, config: Path) -> None:
    said = relforge("run", config, "--relabel", "./nowhere")

    assert said.code == 64
    assert said.err.strip() == (
        "relforge: --relabel: model './nowhere': no such file or folder; train one with relforge train RECIPE"
    )


def test_a_first_round_that_is_not_there_is_one_sentence(relforge: Any, config: Path) -> None:
    said = relforge("run", config, "--relabel", WEIGHTS / "parsed", "run.folder=nothing")

    assert said.code == 64
    assert "first_round: nothing is no run folder; label the dataset with relforge run first" in said.err


def test_the_labels_of_another_first_round_redo_what_depends_on_them(
    relforge: Any, config: Path, tmp_path: Path, first: Path
) -> None:
    shutil.copytree(first, tmp_path / "run")
    folder = f"run.folder={tmp_path / 'run'}"
    asked = (config, "--relabel", WEIGHTS / "rtagger", *SEEN, folder)
    assert relforge("run", *asked, "--executor", "loop").code == 0
    stricter = relforge("run", config, folder, "stages.select.top_k_image=1", "--executor", "loop")
    assert stricter.code == 0, stricter.err
    refused = relforge("run", *asked, "--executor", "loop")
    assert refused.code != 0
    assert "--accept-changes" in refused.err + refused.out
    assert relforge("run", *asked, "--executor", "loop", "--accept-changes").code == 0
    relations = relforge("inspect", tmp_path / "run_round_2", "--json").json
    assert relations


def test_rounds_are_numbered() -> None:
    assert next_folder("runs/coco") == "runs/coco_round_2"
    assert next_folder("runs/coco_round_2/") == "runs/coco_round_3"
    assert next_folder("s3://bucket/coco_round_9") == "s3://bucket/coco_round_10"


def test_a_second_round_sees_images_as_the_tagger_did_and_a_third_follows(config: Path, first: Path) -> None:
    tagged = ["stages.tag.backend=rtagger", f"stages.tag.model={WEIGHTS / 'rtagger'}"]
    tagged += ["stages.tag.short_side=80", "stages.tag.long_side=96"]
    job = load(str(config), tagged, relabel=str(WEIGHTS / "rtagger"))

    assert job.stage("relabel").backend == "rtagger"
    assert job.stage("relabel").options["short_side"] == 80
    assert "confidence" not in job.stage("select").options
    assert (
        load(str(config), relabel=str(WEIGHTS / "parsed")).stage("select").options["confidence"] == "product"
    )
    assert job.folder == str(first.with_name("run_round_2"))


def test_a_third_round_follows_a_second_ones_config(first: Path) -> None:
    stage = {
        "backend": "rtagger",
        "model": "before",
        "first_round": str(first),
        "floor": 0.1,
        "short_side": 80,
    }
    values: dict[str, Any] = {
        "run": {"folder": "runs/mine_round_2"},
        "stages": {"relabel": stage, "select": {"backend": "select", "threshold": 0.5}},
    }

    third = second_round(Source("mine.yaml", values), str(WEIGHTS / "rtagger")).values

    assert third["run"]["folder"] == "runs/mine_round_3"
    again = {"model": str(WEIGHTS / "rtagger"), "first_round": "runs/mine_round_2"}
    assert third["stages"] == {"relabel": stage | again, "select": values["stages"]["select"]}


def test_a_second_round_is_viewed_and_exported_like_any_run(
    relforge: Any, config: Path, tmp_path: Path
) -> None:
    said = relforge("run", config, "--relabel", WEIGHTS / "rtagger", *SEEN, "--executor", "loop")
    assert said.code == 0, said.err
    second = config.with_name("run_round_2")

    assert relforge("view", second, "--out", tmp_path / "view.html").code == 0
    assert relforge("export", second, "--to", "rlipv2", "--out", tmp_path / "labels.json").code == 0
    assert "relabelled" in (tmp_path / "view.html").read_text()
