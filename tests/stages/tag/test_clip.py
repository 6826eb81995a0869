"""The CLIP baseline on a small random CLIP."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from relforge.models.gpu import ReadBack
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS, conform
from relforge.stages.tag.clip import ClipTagger, union_crop
from tests.fixtures.keys import key_of
from tests.fixtures.tiny_clip import write_tiny_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture
def shard() -> dict[str, pa.Table]:
    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "png")
    image = {
        "image_id": "1",
        "dataset": "d",
        "split": "s",
        "width": 90,
        "height": 60,
        "bytes": out.getvalue(),
    }
    box = {"image_id": "1", "w": 20.0, "h": 20.0, "iscrowd": False, "source_id": ""}
    boxes = [
        box | {"box_id": 0, "category": "person", "x": 0.0, "y": 0.0},
        box | {"box_id": 1, "category": "dog", "x": 60.0, "y": 30.0},
    ]
    candidate = {
        "image_id": "1",
        "position": 0,
        "support": 1,
        "caption_ids": [0],
        "triplet_ids": [],
        "rule": "r",
        "claim_id": 0,
        "alternatives": 1,
    }
    candidates = [
        candidate | {"subject_box": 0, "object_box": 1, "predicate": "holding"},
        candidate | {"subject_box": 0, "object_box": 1, "predicate": "near"},
        candidate | {"subject_box": 1, "object_box": 0, "predicate": "near"},
    ]

    def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
        return conform(name, pa.Table.from_pylist(rows, SCHEMAS[name]))

    return {
        "images": table("images", [image]),
        "boxes": table("boxes", boxes),
        "candidates": table("candidates", candidates),
    }


def test_every_candidate_is_scored_against_its_negative_prompt(clip: str, shard: Any) -> None:
    stage: Any = build("tag", "clip", model=clip, floor=0.0)
    stage.setup()
    result = stage.process(shard)
    scores = result.tables["scores"].to_pylist()
    assert [(r["subject_box"], r["object_box"], r["predicate"]) for r in scores] == [
        (0, 1, "holding"),
        (0, 1, "near"),
        (1, 0, "near"),
    ]
    assert all(0 < row["score"] <= 1 and row["subject_score"] is None for row in scores)
    assert result.kept == 3
    assert len(stage.tagger.prompts) == 5  # three positive ones, two negative ones


def test_a_positive_prompt_that_equals_the_negative_one_scores_one_half(clip: str, shard: Any) -> None:
    same = "a photo of {subject} and {object}"
    stage = build("tag", "clip", model=clip, floor=0.0, positive=same, negative=same)
    stage.setup()
    scores = stage.process(shard).tables["scores"]["score"].to_pylist()
    assert scores == pytest.approx([0.5] * 3)


def test_a_gpu_reads_back_once_an_image_and_encodes_prompts_together(
    clip: str, shard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> tuple[list[float], list[int], list[int]]:
        stage: Any = build("tag", "clip", model=clip, floor=0.0)
        stage.setup()
        read: list[int] = []
        begin = ReadBack.__init__

        def record(self: ReadBack, tensor: torch.Tensor) -> None:
            read.append(len(tensor))
            begin(self, tensor)

        batches: list[int] = []
        encode = stage.tagger.network.get_text_features

        def count(input_ids: torch.Tensor, **rest: Any) -> Any:
            batches.append(len(input_ids))
            return encode(input_ids=input_ids, **rest)

        with monkeypatch.context() as patch:
            patch.setattr(ReadBack, "__init__", record)
            patch.setattr(stage.tagger.network, "get_text_features", count)
            scores = stage.process(shard).tables["scores"]["score"].to_pylist()
        return scores, read, batches

    cpu, read, batches = run()
    assert (read, batches) == ([3], [1] * 5)
    monkeypatch.setattr(ClipTagger, "_on_gpu", lambda self: True)
    gpu, read, batches = run()
    assert (read, batches) == ([3], [5])
    assert gpu == pytest.approx(cpu, abs=1e-5)


def test_the_crop_is_the_union_of_both_boxes_cut_to_the_image() -> None:
    pixels = np.arange(60 * 90 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 90, 3)
    crop = union_crop(pixels, (10, 5, 20, 20), (40, 30, 100, 10), 1.0)
    assert crop.shape == (35, 80, 3)
    assert np.array_equal(crop, pixels[5:40, 10:90])
    assert union_crop(pixels, (200, 200, 5, 5), (201, 201, 5, 5), 1.0).shape == (1, 1, 3)


@pytest.mark.parametrize(("width", "height"), [(1, 3000), (3000, 1), (1, 1)])
def test_a_strip_is_scored(clip: str, shard: Any, width: int, height: int) -> None:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "png")
    [image] = shard["images"].to_pylist()
    row = image | {"width": width, "height": height, "bytes": out.getvalue()}
    stage = build("tag", "clip", model=clip, floor=0.0)
    stage.setup()

    result = stage.process(shard | {"images": pa.Table.from_pylist([row], SCHEMAS["images"])})

    assert result.kept == 3


def test_a_prompt_with_another_field_is_refused() -> None:
    with pytest.raises(ValueError, match=r"positive is '\{verb\}'"):
        build("tag", "clip", positive="{verb}")


def test_files_are_all_that_a_model_folder_holds(clip: str) -> None:
    names = {Path(file).name for file in build("tag", "clip", model=clip).files()}

    assert {"model.safetensors", "config.json", "tokenizer_config.json"} <= names


def test_a_model_on_the_hub_counts_by_its_content(clip: str, hub_model: Callable[[str, Path], Path]) -> None:
    folder = hub_model("somebody/clip", Path(clip))
    before = key_of("tag", "clip", model="somebody/clip")

    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")

    assert key_of("tag", "clip", model="somebody/clip") != before


def test_a_model_that_is_nowhere_is_refused_before_anything_runs() -> None:
    with pytest.raises(FileNotFoundError, match="model 'nobody/no-such-clip' is neither a local path nor"):
        build("tag", "clip", model="nobody/no-such-clip").files()


def test_options_that_decide_nothing_change_neither_the_rows_nor_the_key(clip: str, shard: Any) -> None:
    tables = []
    for options in ({}, {"batch_size": 1, "threads": 1}):
        stage = build("tag", "clip", model=clip, floor=0.0, **options)
        stage.setup()
        tables.append(stage.process(shard).tables["scores"])

    assert tables[0].drop_columns("score") == tables[1].drop_columns("score")
    assert tables[0]["score"].to_pylist() == pytest.approx(tables[1]["score"].to_pylist(), abs=1e-5)
    key = key_of("tag", "clip", model=clip)
    assert key_of("tag", "clip", model=clip, batch_size=1, threads=1, device="cuda") == key
    assert key_of("tag", "clip", model=clip, positive="a {subject} {relation} a {object}") != key
