"""validate, plan, run, status and rerun: what they print and how they exit."""

from __future__ import annotations


def test_validate_accepts_a_valid_config_and_makes_nothing(relforge, config, tmp_path) -> None:
    said = relforge("validate", config, "--allow-code", "--json")

    assert said.code == 0
    assert said.json["checks"]["stages"] == "ingest -> caption -> parse -> match -> tag -> select"
    assert not (tmp_path / "run").exists()


def test_validate_can_load_every_model(relforge, config) -> None:
    assert (
        relforge("validate", config, "--allow-code", "--load", "--json").json["checks"]["parse models"]
        == "loaded"
    )


def test_validate_warns_where_bfloat16_is_slow(relforge, config, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("relforge.models.device.multiplies_bfloat16", lambda: False)
    blip = ["stages.caption.backend=blip", f"stages.caption.model={tmp_path}", "stages.caption.device=cpu"]

    slow = relforge(
        "validate", config, "--allow-code", *blip, "stages.caption.dtype=bfloat16", "--json"
    ).json["checks"]
    assert slow["caption dtype"].endswith("use dtype: auto")
    elsewhere = ["stages.caption.dtype=bfloat16", "stages.caption.resources.num_gpus=1", "--json"]
    for fine in (["--json"], elsewhere):
        assert (
            "caption dtype" not in relforge("validate", config, "--allow-code", *blip, *fine).json["checks"]
        )


def test_plan_of_a_new_run_is_everything(relforge, config) -> None:
    said = relforge("plan", config)

    assert said.code == 0
    assert "a new run, unknown shards" in said.out
    assert said.out.count("every shard that ingest brings") == 6


def test_plan_after_a_changed_option_is_that_stage_and_its_descendants(relforge, config, finished) -> None:
    said = relforge("plan", config, "stages.select.threshold=0.9", "--json")

    assert said.json["todo"] == {"select": {"stale": 3}}


def test_run_ends_with_the_table_of_stages(relforge, config) -> None:
    said = relforge("run", config, "--executor", "loop")

    assert said.code == 0
    assert "zero_area_box 3" in said.out  # quarantined by ingest
    assert "one_box 3" in said.out  # dropped by match
    assert "complete: 3 shards" in said.out
    assert "shards to do" in said.err  # progress never mixes with the result


def test_run_again_does_nothing_and_says_so(relforge, config, finished) -> None:
    said = relforge("run", config, "--json")

    assert said.code == 0
    assert said.json["committed"] == {}
    assert said.json["message"] == "everything is done already"


def test_a_stage_that_raises_exits_3_and_logs_show_where(relforge, config, tmp_path) -> None:
    said = relforge("run", config, "--executor", "loop", "stages.caption.raising=[5]")
    assert said.code == 3
    assert "Traceback" not in said.out + said.err

    failed = relforge("logs", tmp_path / "run", "--failed")
    assert "no word for image 00005" in failed.out
    assert "Traceback" in failed.out

    status = relforge("status", tmp_path / "run", "--json")
    assert (status.code, status.json["failed"]) == (3, True)


def test_a_run_with_too_many_quarantined_records_names_the_field_to_raise(relforge, config) -> None:
    said = relforge("run", config, "--executor", "loop", "run.quarantine_limit=0.05")

    assert said.code == 3
    assert "run.quarantine_limit" in said.out


def test_status_of_a_finished_run_is_complete(relforge, finished) -> None:
    said = relforge("status", finished, "--json")

    assert said.code == 0
    assert said.json["complete"] is True
    assert {stage["done"] for stage in said.json["stages"]} == {3}


def test_status_of_an_unfinished_run_exits_2_and_names_what_is_missing(relforge, finished) -> None:
    (finished / "_state" / "relations" / "part-00001.json").unlink()

    said = relforge("status", finished)

    assert said.code == 2
    assert "select shard 1: relations: the data has no sidecar" in said.out


def test_rerun_redoes_the_shards_it_is_given(relforge, finished) -> None:
    said = relforge(
        "rerun",
        finished,
        "--allow-code",
        "--stage",
        "parse",
        "--shards",
        "0,2",
        "--executor",
        "loop",
        "--json",
    )

    assert said.code == 0
    assert said.json["committed"] == {"parse": 2}


def test_rerun_of_quarantined_records_takes_the_shards_that_hold_them(relforge, finished) -> None:
    said = relforge(
        "rerun",
        finished,
        "--allow-code",
        "--stage",
        "ingest",
        "--quarantined",
        "--executor",
        "loop",
        "--json",
    )

    assert said.json["committed"] == {"ingest": 2}  # images 3, 8 and 9 are in shards 0 and 2


def test_changed_input_is_refused_until_it_is_accepted(relforge, config, source) -> None:
    relforge("run", config, "--executor", "loop")
    source(images=11)

    refused = relforge("run", config, "--executor", "loop")
    accepted = relforge("run", config, "--executor", "loop", "--accept-changes")

    assert refused.code == 64
    assert "--accept-changes" in refused.err
    assert accepted.code == 0
