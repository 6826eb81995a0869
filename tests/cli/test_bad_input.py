"""Bad input gives one sentence and exit code 64, never a traceback."""

from __future__ import annotations

import pytest

CASES = {
    "no such verb": ["frobnicate"],
    "no such option": ["status", "{run}", "--jsn"],
    "no config": ["run"],
    "no such config": ["run", "nowhere.yaml"],
    "no such run": ["status", "{run}/nowhere"],
    "a file is no run": ["status", "{config}"],
    "no such executor": ["run", "{config}", "--executor", "dask"],
    "an unknown key": ["validate", "{config}", "--allow-code", "run.sed=1"],
    "a malformed override": ["plan", "{config}", "threshold"],
    "shards that are no numbers": ["rerun", "{run}", "--allow-code", "--stage", "parse", "--shards", "3-1"],
    "no such shard": ["rerun", "{run}", "--allow-code", "--stage", "parse", "--shards", "99"],
    "no such stage": ["rerun", "{run}", "--allow-code", "--stage", "prase"],
    "a stage of no run": ["quarantine", "{run}", "--stage", "prase"],
    "no such table": ["inspect", "{run}", "--table", "relation"],
    "no such column": ["inspect", "{run}", "--where", "colour = 'red'"],
    "not SQL": ["inspect", "{run}", "--where", "score >"],
    "no such image": ["inspect", "{run}", "--image", "none"],
    "nothing to inspect": ["inspect", "{run}/nowhere"],
    "not Parquet": ["inspect", "{config}"],
    "a run of nothing": ["diff", "{run}", "{run}/nowhere"],
    "nobody at the address": ["submit", "{config}", "--address", "http://127.0.0.1:9"],
    "neither config nor job": ["submit"],
}


@pytest.mark.parametrize("arguments", CASES.values(), ids=CASES.keys())
def test_bad_input_is_one_sentence(relforge, finished, config, arguments) -> None:
    said = relforge(*(one.format(run=finished, config=config) for one in arguments))

    assert said.code == 64, said
    assert said.err.startswith("relforge: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


def test_under_json_the_error_is_a_document_too(relforge) -> None:
    said = relforge("run", "nowhere.yaml", "--json")

    assert said.json["exit_code"] == said.code == 64
    assert "nowhere.yaml" in said.json["error"]


def test_a_folder_with_other_things_is_not_taken_over(relforge, config, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()

    said = relforge("run", config, f"run.folder={tmp_path / 'mine'}", "--executor", "loop")

    assert said.code == 64
    assert "holds files but is not a run folder" in said.err
