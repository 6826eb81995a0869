"""The stage relabel: what it asks for, what it refuses, where every image goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relforge.models.checkpoint import save_model
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS
from tests.fixtures import rows as hand_made
from tests.fixtures import tiny_tagger
from tests.stages.tag.test_rtagger import png

SIDES = {"short_side": 64, "long_side": 128}
Make = Callable[..., str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`model("parsed", relations=(...))`: the folder of a small model with random weights."""

    def make(kind: str, relations: tuple[str, ...] = ()) -> str:
        folder = tmp_path_factory.mktemp(kind)
        blueprint = replace(tiny_tagger.BLUEPRINT, kind=kind, relations=relations)
        save_model(folder, tiny_tagger.model(kind), blueprint, tiny_tagger.tokenizer())
        return str(folder)

    return make


@pytest.fixture
def shard() -> dict[str, pa.Table]:
    """Three images; the second has one box that is no crowd, the third cannot be decoded."""
    pixels = {"1": png(1), "2": png(2), "3": b"no image"}
    images = [{"image_id": one, "width": 100, "height": 80, "bytes": data} for one, data in pixels.items()]
    boxes = [
        {"image_id": image, "box_id": box, "category": name, "iscrowd": image == "2" and box == 2}
        | {"x": 10.0 * box, "y": 5.0 * box, "w": 30.0, "h": 40.0}
        for image in pixels
        for box, name in ((0, "person"), (2, "horse"))
    ]
    return {"images": hand_made.table("images", *images), "boxes": hand_made.table("boxes", *boxes)}


@pytest.fixture
def first(tmp_path: Path, shard: dict[str, pa.Table]) -> Path:
    """A first round that says one relation, twice, and one of a word that no model has."""
    folder = tmp_path / "first"
    keys = {"image_id": "1", "subject_box": 0, "object_box": 2}
    said = [
        {**keys, "predicate": "riding", "score": 0.25},
        {**keys, "predicate": "riding", "score": 0.75},
        {**keys, "predicate": "near", "score": 0.5},
    ]
    tables = {**shard, "relations": hand_made.table("relations", *said)}
    tables["candidates"] = hand_made.table("candidates", {**keys, "predicate": "near"})
    for name, rows in tables.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(rows, folder / name / "part-00000.parquet")
    written = {"job": {"config": {"dataset": {"name": "tiny", "split": "train"}}}}
    (folder / "run.json").write_text(json.dumps(written))
    return folder


def stage(backend: str, model: str, first: Path, **options: Any) -> Any:
    built = build("relabel", backend, model=model, first_round=str(first), **{**SIDES, **options})
    built.files()
    built.setup()
    return built


@pytest.mark.parametrize("backend", ["detector", "rtagger"])
def test_every_image_ends_in_one_place_and_every_row_says_what_the_first_round_said(
    backend: str, model: Make, shard: dict[str, pa.Table], first: Path
) -> None:
    kind = "parsed" if backend == "detector" else "rtagger"
    more = {"min_overlap": 0.001} if backend == "detector" else {}
    result = stage(backend, model(kind), first, floor=0.0, **more).process(shard)

    assert result.dropped.get("no_second_box") == 1
    assert [one.record for one in result.quarantined] == [{"image_id": "3"}]
    assert result.kept + result.dropped.get("no_relation", 0) == 1
    for name in ("candidates", "scores"):
        assert result.tables[name].schema.equals(SCHEMAS[name])
    keys = ["image_id", "subject_box", "object_box", "predicate"]
    beside = result.tables["first_round"].to_pylist()
    assert [[row[key] for key in keys] for row in beside] == [
        [row[key] for key in keys] for row in result.tables["scores"].to_pylist()
    ]
    known = {("1", 0, 2, "riding"): 0.75, ("1", 0, 2, "near"): 0.5}
    for row in beside:
        assert row["subject_box"] != row["object_box"]
        assert row["first_score"] == known.get(tuple(row[key] for key in keys))
    assert set(result.tables["scores"]["rule"].to_pylist()) <= {"relabelled"}
    assert result.notes["first_relations"] == 2


def test_an_r_tagger_scores_both_directions_with_what_the_first_round_says(
    model: Make, shard: dict[str, pa.Table], first: Path
) -> None:
    result = stage("rtagger", model("rtagger"), first, floor=0.0).process(shard)

    found = result.tables["scores"].select(["subject_box", "object_box", "predicate"]).to_pylist()
    assert sorted(tuple(row.values()) for row in found) == [
        (0, 2, "near"), (0, 2, "riding"), (2, 0, "near"), (2, 0, "riding"),
    ]  # fmt: skip
    assert result.tables["candidates"]["support"].to_pylist() == [0] * 4
    assert result.tables["candidates"]["caption_ids"].to_pylist() == [[]] * 4


def test_proposed_pairs_are_the_first_rounds_candidates(
    model: Make, shard: dict[str, pa.Table], first: Path
) -> None:
    result = stage("rtagger", model("rtagger"), first, floor=0.0, pairs="proposed").process(shard)

    rows = result.tables["scores"].to_pylist()
    assert [(row["subject_box"], row["object_box"], row["predicate"]) for row in rows] == [(0, 2, "near")]


def test_a_text_that_the_model_cannot_read_is_noted(
    model: Make, shard: dict[str, pa.Table], first: Path
) -> None:
    longer = {"image_id": "1", "subject_box": 0, "object_box": 2, "predicate": "under " * 100}
    rows = pa.concat_tables([pq.read_table(first / "candidates"), hand_made.table("candidates", longer)])
    pq.write_table(rows, first / "candidates" / "part-00000.parquet")

    result = stage("rtagger", model("rtagger"), first, floor=0.0, pairs="proposed").process(shard)

    assert result.tables["scores"]["predicate"].to_pylist() == ["near"]
    assert result.notes["text_too_long"] == 1


def test_what_a_model_learnt_is_asked_for_and_the_commonest_alone_where_there_is_a_limit(
    model: Make, shard: dict[str, pa.Table], first: Path
) -> None:
    knows = model("rtagger", ("holding", "near", "riding"))

    def asked(**options: Any) -> set[str]:
        built = stage("rtagger", knows, first, floor=0.0, **options)
        return set(built.process(shard).tables["scores"]["predicate"].to_pylist())

    assert asked() == {"holding", "near", "riding"}
    assert asked(max_predicates=1) == {"riding"}
    assert asked(predicates=["under"]) == {"under"}


@pytest.mark.parametrize(("backend", "kind"), [("detector", "parsed"), ("rtagger", "rtagger")])
def test_a_model_of_other_relations_is_refused(backend: str, kind: str, model: Make, first: Path) -> None:
    knows = model(kind, ("under", "above"))

    with pytest.raises(ValueError, match=r"was trained on other relations \(under, above, \.\.\.\) than the"):
        stage(backend, knows, first)


@pytest.mark.parametrize(
    ("backend", "kind", "sentence"),
    [
        ("detector", "rtagger", "is an R-Tagger, which finds no pairs; use `backend: rtagger`"),
        ("rtagger", "parsed", "is a parsed model, no R-Tagger; use `backend: detector`"),
    ],
)
def test_a_model_of_another_kind_is_refused_before_anything_is_loaded(
    backend: str, kind: str, sentence: str, model: Make, first: Path
) -> None:
    built = build("relabel", backend, model=model(kind), first_round=str(first))

    with pytest.raises(ValueError, match=sentence):
        built.files()


def test_a_first_round_that_cannot_be_one_is_refused(model: Make, first: Path, tmp_path: Path) -> None:
    def files(folder: Path, **of: str) -> list[str]:
        built = build("relabel", "rtagger", model=model("rtagger"), first_round=str(folder), **of)
        return list(built.files())

    assert str(first / "relations" / "part-00000.parquet") in files(first)
    assert files(first, dataset="tiny", split="train")
    with pytest.raises(ValueError, match="labels tiny train, this run coco val; both rounds have to be of"):
        files(first, dataset="coco", split="val")
    with pytest.raises(FileNotFoundError, match="is no run folder; label the dataset with relforge run"):
        files(tmp_path / "nothing")
    (first / "images" / "part-00001.parquet").write_bytes(
        (first / "images" / "part-00000.parquet").read_bytes()
    )
    with pytest.raises(FileNotFoundError, match="has 1 of 2 shards of `relations`; finish that run"):
        files(first)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"floor": 1.0}, "floor is 1.0; it must be a probability below 1"),
        ({"max_predicates": 0}, "max_predicates is 0; use 1 or more"),
        ({"pairs": "all"}, "pairs is 'all'; choose near or proposed"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build("relabel", "rtagger", model="anywhere", first_round="anywhere", **options)


def test_a_detectors_overlap_is_a_share() -> None:
    with pytest.raises(ValueError, match="min_overlap is 0; it is an intersection over union"):
        build("relabel", "detector", model="anywhere", first_round="anywhere", min_overlap=0)


def test_scores_within_the_margin_below_the_floor_are_left_to_the_selection(
    model: Make, first: Path, shard: dict[str, pa.Table]
) -> None:
    # given a floor that lies just above the best score, as a GPU could place it on either side
    built = stage("rtagger", model("rtagger", ("riding", "near")), first, floor=0.0)
    scores = built.process(shard).tables["scores"]["score"].to_pylist()
    built.floor = max(scores) + 1e-4
    strict = built.process(shard)
    assert strict.tables["scores"].num_rows == 0
    assert "margin" not in strict.notes

    built._loaded = replace(built._loaded, margin=built.floor)
    lenient = built.process(shard)

    assert lenient.tables["scores"].num_rows == len(scores) > 0
    assert lenient.notes["margin"] == built.floor


def test_a_detector_computes_in_exact_float32(
    model: Make, first: Path, shard: dict[str, pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    built = stage("detector", model("parsed", ("riding",)), first)
    seen: list[bool] = []
    network = built.relabeller._loaded.model
    network.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))

    built.process(shard)

    assert seen
    assert not any(seen)
