"""`relforge quality fit`: from a run's gold or people's corrections to a file that select takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.cli.app import invoke
from relforge.data.sources import read_table
from relforge.pipeline.store.run_folder import RunFolder
from relforge.stages.corrections.table import FILE, SCHEMA
from relforge.stages.select.quality_file import load_quality, save_quality
from tests.fixtures.labelled import label_world


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return label_world(tmp_path_factory.mktemp("quality"), images=40, shard_images=20, threshold=0.0)


def test_select_keeps_what_the_fit_found_right(run, relforge) -> None:
    out = run.parent / "quality.json"
    said = relforge("quality", "fit", run, "--out", out, "--licence", "mine")
    assert said.code == 0, said.err
    card = json.loads(out.read_text())["card"]
    assert (card["licence"], card["data"]["judged_by"], card["held_out"]["images"] > 30) == (
        "mine",
        "gold",
        True,
    )
    before = json.loads(relforge("report", run, "--json").out)

    select = ["stages.select.quality=learned", f"stages.select.weights={out}", "stages.select.threshold=0.5"]
    assert invoke(["run", str(run.parent / "world.yaml"), *select, "--executor", "loop"]) == 0

    schema = read_schema(run)
    assert schema.names[-1] == "quality"
    after = json.loads(relforge("report", run, "--json").out)
    assert after["quality"]["kept"]["precision"] > before["quality"]["kept"]["precision"]
    assert min(one["low"] for one in after["reliability"]["bins"]) >= 0.5
    assert sum(after["fates"].values()) == after["quality"]["gold"]
    # exports read such relations too
    for format_ in ("rlipv2", "coco", "parquet", "label-studio"):
        said = relforge("export", run, "--to", format_, "--out", run.parent / format_)
        assert said.code == 0, said.err
    # other weights are another fingerprint
    sidecar = run / RunFolder.sidecar_path("relations", 0)
    before_change = sidecar.read_text()
    model = load_quality(out)
    save_quality(out, replace(model, threshold=0.4), {})
    assert (
        invoke(["run", str(run.parent / "world.yaml"), *select, "--accept-changes", "--executor", "loop"])
        == 0
    )
    assert sidecar.read_text() != before_change


def test_corrections_judge_instead_of_gold(run, tmp_path, relforge) -> None:
    scores = read_table(str(run), "scores")
    keys = scores.select(["image_id", "subject_box", "object_box", "predicate"]).to_pylist()
    images = sorted({row["image_id"] for row in keys})[:30]
    said = [
        row | {"verdict": "right" if row["subject_box"] else "removed", "score": 0.5, "source": "hand"}
        for row in keys
        if row["image_id"] in images
    ]
    refused = relforge("quality", "fit", run, "--out", tmp_path / "q.json", "--corrections")
    assert refused.code == 64
    assert "no scored relation is judged" in refused.err

    pq.write_table(pa.Table.from_pylist(said, SCHEMA), run / FILE)
    found = relforge("quality", "fit", run, "--out", tmp_path / "q.json", "--corrections", "--json")
    (run / FILE).unlink()

    assert found.code == 0, found.err
    measures = json.loads(found.out)
    assert (measures["relations"], measures["images"]) == (len(said), len(images))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("teach", "RUN", "--out", "q.json"), "write `relforge quality fit RUN"),
        (("fit", "RUN"), "--out: missing"),
        (("fit", "RUN", "--out", "RUN"), "is there already"),
        (("fit", "nowhere", "--out", "q.json"), "run the pipeline first"),
    ],
)
def test_wrong_use_is_one_sentence(run, relforge, arguments, sentence, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = relforge("quality", *(run if one == "RUN" else one for one in arguments))
    assert said.code == 64
    assert sentence in said.err


def read_schema(run: Path) -> pa.Schema:
    return pq.read_schema(next((run / "relations").glob("*.parquet")))
