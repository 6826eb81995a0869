"""A damaged JSON file of a run folder is named with what to do by whichever verb meets it; no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TYPES = ["", "{", "[]", "7", "{}", "\xff", "[" * 100_000]
VERBS = {
    "status": ["status", "{run}"],
    "run": ["run", "{config}", "--executor", "loop"],
    "inspect": ["inspect", "{run}"],
}


def damage(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="latin-1")


def edited(path: Path, *keys: str | int, value: object) -> str:
    """The file's text with one value replaced."""
    whole = json.loads(path.read_text())
    place = whole
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return json.dumps(whole)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("text", TYPES, ids=range(len(TYPES)))
def test_a_damaged_run_file_is_named_by_every_verb(relforge, finished, config, verb, text) -> None:
    damage(finished / "run.json", text)

    said = relforge(*(one.format(run=finished, config=config) for one in VERBS[verb]))

    assert said.code == 64
    assert said.err.startswith(f"relforge: {finished}/run.json is damaged (")
    assert "restore or delete it and give the same `relforge run` command again" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["steps"], 7),
        (["steps"], []),
        (["steps", 1, "outputs"], "captions"),
        (["steps", 1, "key"], 7),
        (["steps", 1, "outputs"], []),
        (["steps", 1, "inputs"], ["no_such_table"]),
        (["steps", 1, "files"], {"a": 1}),
        (["job"], None),
        (["job", "limits"], []),
        (["job", "limits", "quarantine_rate"], "much"),
        (["job", "stages"], {}),
        (["job", "stages", 0, "resources"], None),
    ],
)
@pytest.mark.parametrize("verb", VERBS)
def test_a_run_file_with_a_value_of_the_wrong_type_is_named(
    relforge, finished, config, verb, keys, value
) -> None:
    damage(finished / "run.json", edited(finished / "run.json", *keys, value=value))

    said = relforge(*(one.format(run=finished, config=config) for one in VERBS[verb]))

    assert said.code == 64
    assert said.err.startswith(f"relforge: {finished}/run.json is damaged (")


def test_a_deleted_run_file_is_written_again_and_what_is_done_stays(relforge, finished, config) -> None:
    damage(finished / "run.json", "{")
    (finished / "run.json").unlink()

    said = relforge("run", config, "--executor", "loop")

    assert said.code == 0
    assert "everything is done already" in said.out + said.err
    assert relforge("status", finished).code == 0


@pytest.mark.parametrize("text", [text for text in TYPES if text])
@pytest.mark.parametrize("verb", ["status", "run"])
def test_a_damaged_manifest_is_named(relforge, finished, config, verb, text) -> None:
    damage(finished / "ingest.json", text)

    said = relforge(*(one.format(run=finished, config=config) for one in VERBS[verb]))

    assert said.code == 64
    assert said.err.startswith(f"relforge: {finished}/ingest.json is damaged (")
    assert "; restore or delete it" in said.err
    (finished / "ingest.json").unlink()
    assert relforge(*VERBS["run"][:1], config, "--executor", "loop").code == 0


@pytest.mark.parametrize("text", TYPES, ids=range(len(TYPES)))
def test_a_damaged_sidecar_is_named_and_its_shard_made_again(relforge, finished, config, text) -> None:
    damage(finished / "_state/candidates/part-00001.json", text)
    name = "_state/candidates/part-00001.json is damaged: not a sidecar"

    said = relforge("status", finished)
    assert said.code == 2
    assert f"match shard 1: candidates: its sidecar {name}" in said.out
    assert "the same `relforge run` command resumes it" in said.out

    said = relforge("inspect", finished)
    assert f"warning: candidates shard 1 is left out: its sidecar {name}" in said.err
    assert "the same `relforge run` makes it again" in said.err

    assert relforge("run", config, "--executor", "loop").code == 0
    assert relforge("status", finished).code == 0


@pytest.mark.parametrize("losses", [7, {"images": 7}, {"images": {"read": 1, "lost": {"a": "b"}}}])
def test_a_sidecar_with_notes_of_the_wrong_type_stops_no_status(relforge, finished, losses) -> None:
    path = finished / "_state/images/part-00001.json"
    damage(path, edited(path, "notes", "losses", value=losses))

    assert relforge("status", finished).code == 0


@pytest.mark.parametrize("text", [*TYPES, '{"host": 7, "pid": "x", "beat": null, "attempt": []}'])
@pytest.mark.parametrize(
    "mark", ["logs/drivers/abc.json", "logs/running/caption-00001.json", "logs/failed/caption-00001.json"]
)
def test_a_damaged_file_under_logs_is_named_and_stops_nothing(relforge, finished, config, mark, text) -> None:
    damage(finished / mark, text)
    (finished / "_state/captions/part-00001.json").unlink()

    said = relforge("status", finished)
    assert said.code in (2, 3)
    assert f"warning: {finished}/{mark} is damaged (" in said.out
    assert "delete it, nothing is lost" in said.out
    assert relforge("inspect", finished).code == 0

    said = relforge("run", config, "--executor", "loop")
    assert said.code == 0
    assert f"{mark} is damaged" in said.out + said.err


def test_logs_names_a_damaged_failure(relforge, finished) -> None:
    damage(finished / "logs/failed/caption-00001.json", "{")

    said = relforge("logs", finished)

    assert said.code == 64
    assert said.err.startswith(f"relforge: {finished}/logs/failed/caption-00001.json is damaged (")


def test_quarantine_names_a_damaged_file_of_records(relforge, finished) -> None:
    damage(finished / "quarantine/ingest/part-00000.parquet", "PAR1")

    said = relforge("quarantine", finished)

    assert said.code == 64
    assert said.err.startswith(f"relforge: {finished}/quarantine/ingest/part-00000.parquet is damaged (")
    assert "give the same `relforge run` command again" in said.err
