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
from relforge.stages.ground.model import hash_image
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
    # what it was chosen by is said where a relation is shown
    image = json.loads(relforge("inspect", run, "--table", "relations", "--limit", "1", "--json").out)[0]
    assert f", quality {image['quality']:.2f}" in relforge("inspect", run, "--image", image["image_id"]).out
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


def test_judgements_of_label_studio_fit_it(run, tmp_path, relforge) -> None:
    # given the run's relations in Label Studio, and a person who takes away those that are wrong
    keys = ["image_id", "subject_box", "predicate", "object_box"]
    gold = {tuple(row[key] for key in keys) for row in read_table(str(run), "gold").to_pylist()}
    assert relforge("export", run, "--to", "label-studio", "--out", tmp_path / "export").code == 0
    tasks = json.loads((tmp_path / "export" / "tasks.json").read_text())
    shown = right = 0
    for task in tasks:
        result = []
        for one in task["predictions"][0]["result"]:
            if one["type"] == "relation":
                ends = [int(one[end].removeprefix("box-")) for end in ("from_id", "to_id")]
                image = task["data"]["image_id"]
                kept = [name for name in one["labels"] if (image, ends[0], name, ends[1]) in gold]
                shown, right = shown + len(one["labels"]), right + len(kept)
                one["labels"] = kept
            if one["type"] != "relation" or one["labels"]:
                result.append(one)
        annotation = {"id": 1, "was_cancelled": False, "updated_at": "2026-01-02T00:00:00Z", "result": result}
        task["annotations"] = [annotation]
    (tmp_path / "project.json").write_text(json.dumps(tasks))
    assert relforge("import", "label-studio", tmp_path / "project.json", "--into", run).code == 0

    found = relforge("quality", "fit", run, "--out", tmp_path / "q.json", "--corrections", "--json")
    (run / FILE).unlink()

    assert found.code == 0, found.err
    measures = json.loads(found.out)
    assert (measures["relations"], measures["right"]) == (shown, pytest.approx(right / shown, abs=1e-4))
    assert 50 < shown < 1000
    assert 0 < measures["threshold"] < 1
    assert json.loads((tmp_path / "q.json").read_text())["card"]["data"]["judged_by"] == "corrections"
    # its own images are scored by folds: none of them knows what was said of them
    model = load_quality(tmp_path / "q.json")
    assert {hash_image(task["data"]["image_id"]) for task in tasks} >= model.seen


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
