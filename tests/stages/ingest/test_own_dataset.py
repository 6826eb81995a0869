"""A dataset of the user's own, as docs/adding.md describes it: one file and one entry in a config."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from relforge.cli.app import invoke
from tests.fixtures.datasets import FORMATS, OWN, Box, Image, Relation
from tests.fixtures.documented import code_blocks, write_module
from tests.fixtures.given_captions import stages_of


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job with the documented entry, over one image with a person, a dog and a box of no area."""
    write_module("A dataset", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    boxes = [Box("person", (10, 10, 20, 40)), Box("dog", (40, 30, 20, 20)), Box("frisbee", (1, 1, 0, 9))]
    FORMATS[OWN].write(tmp_path, [Image(9, boxes=boxes, relations=[Relation(0, "beside", 1)])])
    Path("captions.json").write_text(json.dumps({"9": ["a woman beside a dog"]}))
    values = yaml.safe_load(code_blocks("A dataset", "yaml")[0])
    run = {"folder": "run", "quarantine_limit": 0.5}
    Path("own.yaml").write_text(yaml.safe_dump({**values, "run": run, "stages": stages_of("captions.json")}))
    return "own.yaml"


def test_a_run_labels_it(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", config, "--executor", "loop"]) == 0, capsys.readouterr().err

    [image] = pq.ParquetFile("run/images/part-00000.parquet").read().to_pylist()
    assert (image["dataset"], image["split"], image["uri"]) == ("psg", "val", "coco/9.jpg")
    [relation] = pq.ParquetFile("run/relations/part-00000.parquet").read().to_pylist()
    assert (relation["subject_box"], relation["predicate"], relation["object_box"]) == (0, "beside", 1)
    [aside] = pq.ParquetFile("run/quarantine/ingest/part-00000.parquet").read().to_pylist()
    assert (aside["reason"], json.loads(aside["record"])["box_id"]) == ("zero_area_box", 2)


def test_a_missing_file_is_refused_when_the_config_is_validated(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["validate", config, "--allow-code", "dataset.annotations=absent.json"]) == 64

    assert "dataset.annotations: no such file or folder: absent.json" in capsys.readouterr().err


def test_a_record_of_another_shape_stops_the_run_with_file_and_record(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(Path("psg.json").read_text())
    del content["data"][0]["annotations"][1]["bbox"]
    Path("psg.json").write_text(json.dumps(content))

    assert invoke(["run", config, "--executor", "loop"]) == 3

    assert "psg.json: record 0 of data: KeyError('bbox')" in capsys.readouterr().out
