"""`relforge eval`: the quality of a run's labels and of a model's detections, and refusals of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.cli.app import invoke
from relforge.demo.world.dataset import write_split
from relforge.evaluation.detection_table import write_detections
from relforge.evaluation.hico import HicoEvaluator
from relforge.stages.tables import SCHEMAS, conform
from relforge.trainer.recipes import relations


def run_with(folder: Path, gold: list[str], scored: list[tuple[str, float]]) -> Path:
    """A run folder where box 0 has these predicates to box 1 of image 1."""
    pair = {"image_id": "1", "subject_box": 0, "object_box": 1}
    score = {
        "position": 0,
        "support": 1,
        "caption_ids": [0],
        "triplet_ids": [],
        "rule": "head|head",
        "claim_id": 0,
        "alternatives": 1,
        "tagger": "t",
    }
    blank = dict.fromkeys(SCHEMAS["scores"].names) | pair | score
    box = {"image_id": "1", "x": 0.0, "y": 0.0, "w": 1.0, "h": 1.0, "iscrowd": False, "source_id": "0"}
    rows = {
        "gold": [pair | {"predicate": p} for p in gold],
        "scores": [blank | {"predicate": p, "score": s} for p, s in scored],
        "boxes": [box | {"box_id": number, "category": "cat"} for number in (0, 1)],
    }
    for name, facts in rows.items():
        (folder / name).mkdir()
        table = conform(name, pa.Table.from_pylist(facts, SCHEMAS[name]))
        pq.write_table(table, folder / name / "part-00000.parquet")
    return folder


def test_eval_prints_quality(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_with(tmp_path, ["on", "in"], [("on", 0.9), ("under", 0.5)])
    assert invoke(["eval", "labels", str(run), "threshold=0.4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["benchmark"], found["counts"]) == ("labels", {"gold": 2, "scored": 2})
    # with one image the other half shows nothing, and every score of the prior is 0
    measures = found["measures"]
    assert measures["mean_average_precision"] == {"value": 0.5, "prior": 0.5}
    assert measures["precision at 0.4"] == measures["recall at 0.4"] == {"value": 0.5, "prior": 0.0}
    assert invoke(["eval", "labels", str(run)]) == 0
    assert "mean average precision" in capsys.readouterr().out


def test_a_run_without_gold_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["eval", "labels", str(run_with(tmp_path, [], [("on", 0.9)]))]) == 64
    assert "no gold relations" in capsys.readouterr().err


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn images with gold."""
    return write_split(tmp_path_factory.mktemp("world"), "hoi", 6, size=64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, world: Path) -> Path:
    """A ParSeD after one step of training."""
    small = {"dim": 64, "heads": 2, "encoder_layers": 1, "fusions": 1, "decoder_layers": 1}
    small |= {"feedforward": 32, "fusion_dim": 32, "language_heads": 2, "language_feedforward": 32}
    backbone = {"family": "swin", "embed_dim": 16, "depths": [1, 1, 1, 1], "heads": [1, 2, 2, 4], "window": 4}
    text = {"model_type": "roberta", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 32, "max_position_embeddings": 66}
    source = {
        "format": "visual_genome",
        "annotations": str(world / "scene_graphs.json"),
        "images": pattern(world),
    }
    return relations.main(
        {
            "out": str(tmp_path_factory.mktemp("out")),
            "data": [source],
            "steps": 1,
            "model": {"kind": "parsed", "sizes": small, "backbone": backbone, "text": text},
            "batch": {"size": 2, "short_sides": [48], "long_side": 64, "max_pairs": 16},
        }
    )


def pattern(world: Path) -> str:
    return str(world / "images" / "{image_id:0>6}.jpg")


def detection_options(world: Path) -> list[str]:
    """The options that name the images, at their own size."""
    files = [f"annotations={world / 'scene_graphs.json'}", f"images={pattern(world)}"]
    return [*files, "short_side=48", "long_side=64"]


def test_a_model_is_measured_by_what_it_detects(world: Path, model: Path, relforge: Any) -> None:
    found = relforge("eval", "hico", model, *detection_options(world), "unseen=[holding]", "--json").json
    assert (found["protocol"], found["counts"]["images"]) == ("official", 6)
    assert {"mean_average_precision", "mean_average_precision_seen"} < set(found["measures"])
    assert {row["subject"] for row in found["classes"]} == {"person"}
    assert {row["predicate"] for row in found["classes"] if row["unseen"]} == {"holding"}
    said = relforge("eval", "hico", model, *detection_options(world), "subject=any")
    assert said.out.splitlines()[1].startswith("mean average precision")


def test_scene_graphs_that_a_model_detects_are_measured(world: Path, model: Path, relforge: Any) -> None:
    options = detection_options(world)

    found = relforge(
        "eval", "vg_sgg", model, *options, f"training={world / 'scene_graphs.json'}", "--json"
    ).json

    counts = found["counts"]
    assert (counts["images"], counts["images without predictions"]) == (6, 0)
    assert counts["predictions"] == 6 * 16  # one predicate for each pair query
    assert counts["zero-shot gold"] == 0
    assert {"R@20", "ng-mR@100"} <= set(found["measures"])
    assert found["measures"]["mR@100"]["prior"] >= 0
    said = relforge("eval", "vg_sgg", model, *options, "mode=predcls")
    assert (said.code, "which finds its boxes itself" in said.err) == (64, True)
    said = relforge("eval", "vg_sgg", model, options[0])
    assert (said.code, "say with images=FOLDER" in said.err) == (64, True)
    said = relforge("eval", "vg_sgg", world / "nowhere")
    assert (said.code, "give annotations=FILE" in said.err) == (64, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["images="], "is a model: say with images=FOLDER what it detects in"),
        (["annotations=no.json"], "no.json: cannot read the annotation file"),
        (["unseen=[flying to]"], "has no predicate 'flying to'"),
        (["unseen=holding"], "unseen: expected a list of text or a list of text"),
        (["subject=robot"], "no relation has the subject 'robot'; choose another subject"),
        (["images=elsewhere"], "elsewhere/1.jpg"),
        (["side=3"], "unknown key 'side'; did you mean"),
    ],
)
def test_what_cannot_be_detected_in_is_one_sentence(
    world: Path, model: Path, relforge: Any, options: list[str], message: str
) -> None:
    said = relforge("eval", "hico", model, *detection_options(world), *options)
    assert said.code == 64
    assert message in said.err
    assert said.err.count("\n") == 1


def test_a_table_of_detections_is_measured(world: Path, tmp_path: Path, relforge: Any) -> None:
    gold = HicoEvaluator(annotations=str(world / "scene_graphs.json")).read_gold("")
    write_detections(gold.pairs, tmp_path / "found.parquet")
    annotations = f"annotations={world / 'scene_graphs.json'}"
    found = relforge("eval", "hico", tmp_path / "found.parquet", annotations, "--json").json
    assert found["measures"]["mean_average_precision"]["value"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["hicco", "x"],
            "unknown benchmark 'hicco'; did you mean 'hico'? choose one of coco, hico,",
        ),
        (["hico", "x"], "relforge eval: annotations: missing; pass annotations=..."),
        (["labels", "x", "threshold"], "an override is written key=value"),
        (["labels", "nowhere"], "relforge: nowhere has no shards of table `gold`"),
    ],
)
def test_a_bad_call_of_eval_is_one_sentence(relforge: Any, arguments: list[str], message: str) -> None:
    said = relforge("eval", *arguments)
    assert (said.code, message in said.err) == (64, True), said.err
