"""Redoing one stage for chosen shards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from relforge.pipeline.errors import ChangedInputs, Outcome, RunError
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.failure import failures
from relforge.pipeline.run.job import StageSpec
from relforge.pipeline.run.progress import Notice
from relforge.pipeline.run.rerun import rerun
from relforge.pipeline.run.status import status
from relforge.pipeline.store.quarantine import quarantined
from tests.fixtures.tiny import tiny_job


@pytest.fixture
def dictionary(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("one")
    return path


def test_only_the_chosen_shards_are_redone(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))
    run(job, executor="loop")
    before = {p: p.stat().st_mtime_ns for p in Path(job.folder).rglob("part-*.json")}

    result = rerun(job.folder, "caption", shards=[0, 2], allow_code=True, executor="loop")

    assert result.outcome == Outcome.COMPLETE
    touched = {p.relative_to(job.folder) for p, when in before.items() if p.stat().st_mtime_ns != when}
    assert touched == {Path("_state/captions/part-00000.json"), Path("_state/captions/part-00002.json")}


def test_without_downstream_descendants_become_stale_and_with_it_they_follow(tmp_path, source, dictionary):
    job = tiny_job(
        tmp_path / "run", source(10), caption={"dictionary": str(dictionary)}, parse={"shout": True}
    )
    run(job, executor="loop")
    dictionary.write_text("two")

    with pytest.raises(ChangedInputs, match=r"words\.txt \(read by caption\) changed"):
        rerun(job.folder, "caption", shards=[1], allow_code=True, executor="loop")
    rerun(job.folder, "caption", shards=[1], accept_changes=True, allow_code=True, executor="loop")

    found = {stage.stage: stage for stage in status(job.folder).stages}
    assert (found["caption"].done, found["caption"].stale) == (1, 2)
    assert found["parse"].stale == 3
    result = rerun(job.folder, "caption", downstream=True, allow_code=True, executor="loop")
    assert result.committed == {"caption": 3, "parse": 3}  # the triplets are equal, so match is up to date
    assert status(job.folder).complete


def test_failed_shards_alone_are_redone(tmp_path, source, dictionary):
    job = tiny_job(tmp_path / "run", source(10), caption={"raising": [5]})
    assert run(job, executor="loop").outcome == Outcome.FAILED
    assert [(f["stage"], f["shard"]) for f in failures(job.folder)] == [("caption", 1)]

    repaired = tiny_job(tmp_path / "run", job.source.options["path"])
    repaired = replace(repaired, stages=(*repaired.stages[:2], StageSpec("caption", "tiny:TinyCaption", {})))
    run_json_only = rerun  # the folder's own configuration still raises
    assert (
        run_json_only(job.folder, "caption", failed=True, allow_code=True, executor="loop").outcome
        == Outcome.FAILED
    )
    assert run(repaired, executor="loop").outcome == Outcome.COMPLETE
    assert failures(job.folder) == []


def test_shards_with_quarantined_records_are_tried_again(tmp_path, source, dictionary):
    job = tiny_job(tmp_path / "run", source(10), caption={"quarantined": [5]})
    run(job, executor="loop")
    assert quarantined(job.folder, "caption")["image_id"].to_pylist() == ["00005"]

    assert rerun(job.folder, "caption", quarantined=True, allow_code=True, executor="loop").committed == {
        "caption": 1
    }
    assert (
        rerun(job.folder, "parse", quarantined=True, allow_code=True, executor="loop").message
        == "everything is done already"
    )


def test_ingest_can_be_redone_too(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(10))
    run(job, executor="loop")

    assert rerun(job.folder, "ingest", shards=[1], allow_code=True, executor="loop").committed == {
        "ingest": 1
    }


@pytest.mark.parametrize(
    ("stage", "shards", "sentence"),
    [
        ("captoin", None, "no stage 'captoin'; it has ingest"),
        ("caption", [3], "no shard 3 in .*; it has 0 to 2"),
    ],
)
def test_a_wrong_choice_is_one_sentence(tmp_path, source, stage, shards, sentence):
    job = tiny_job(tmp_path / "run", source(10))
    run(job, executor="loop")
    with pytest.raises(RunError, match=sentence):
        rerun(job.folder, stage, shards=shards, allow_code=True, executor="loop")


def test_a_folder_without_a_run_is_one_sentence(tmp_path):
    with pytest.raises(RunError, match="is not a run folder"):
        rerun(str(tmp_path), "caption")


def test_a_stage_whose_input_was_never_made_says_which_verb_makes_it(tmp_path, source):
    job = tiny_job(tmp_path / "run", source(4), caption={"raising": [0]})
    assert run(job, executor="loop").outcome == Outcome.FAILED

    result = rerun(job.folder, "parse", allow_code=True, executor="loop")

    assert result.outcome == Outcome.INCOMPLETE
    assert result.message.endswith("has no committed shard 0); `relforge run` makes what it reads")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"shards": [0, 2], "downstream": True},
            "redoes caption in 2 of 3 shards (0, 2), 6 rows of images; "
            "then parse, match, in those shards where what they read comes out different",
        ),
        (
            {},
            "redoes caption in 3 of 3 shards (0-2), 10 rows of images; parse, match: "
            "not redone, and stale where what they read comes out different (--downstream)",
        ),
        ({"failed": True}, "no shard of caption is chosen: nothing to redo"),
    ],
)
def test_a_rerun_says_what_it_will_do(tmp_path, source, options, sentence):
    job = tiny_job(tmp_path / "run", source(10))
    run(job, executor="loop")
    events: list[object] = []

    rerun(job.folder, "caption", allow_code=True, executor="loop", progress=events.append, **options)

    assert events[0] == Notice(sentence)
