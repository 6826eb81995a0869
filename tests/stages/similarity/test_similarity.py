"""The stage `similarity` on small random models of the classes it is for."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from relforge.stages.registry import build
from relforge.stages.select.features import FEATURES, add_column, describe_rows
from relforge.stages.similarity.stage import SimilarityStage
from relforge.stages.tables import SCHEMAS, conform
from tests.fixtures.keys import key_of
from tests.fixtures.tiny_blip_matching import write_tiny_blip
from tests.fixtures.tiny_clip import write_tiny_clip

SEED = 4
PAIR = {"subject_box": 0, "object_box": 1}
PREDICATES = ("holding", "looking at", "near", "riding", "under")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    clip = write_tiny_clip(folder / "clip", seed=SEED)
    return {"clip": str(clip), "blip": str(write_tiny_blip(folder / "blip"))}


@pytest.fixture(scope="module")
def shard() -> dict[str, pa.Table]:
    """Two images of three boxes; each pair has five predicates. The second image has no pixels."""
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    candidates: list[dict[str, Any]] = []
    for name in ("1", "2", "3"):
        out = io.BytesIO()
        pixels = np.random.default_rng(int(name)).integers(0, 256, (60, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(out, "png")
        data = b"" if name == "2" else out.getvalue()
        images.append(
            {"image_id": name, "dataset": "d", "split": "s", "width": 90, "height": 60, "bytes": data}
        )
        for number, category in enumerate(("person", "dog", "apple")):
            box = {
                "image_id": name,
                "box_id": number,
                "category": category,
                "x": 25.0 * number,
                "y": 9.0 * number,
            }
            boxes.append(box | {"w": 20.0, "h": 20.0, "iscrowd": False, "source_id": ""})
        for subject, object_ in ((0, 1), (1, 0), (0, 2)):
            for predicate in PREDICATES:
                row: dict[str, Any] = {
                    "image_id": name,
                    "subject_box": subject,
                    "object_box": object_,
                    "predicate": predicate,
                }
                row |= {"position": 0, "support": 1, "caption_ids": [0], "triplet_ids": [], "rule": "r"}
                candidates.append(row | {"claim_id": len(candidates), "alternatives": 1})
    rows = {"images": images, "boxes": boxes, "candidates": candidates}
    return {name: conform(name, pa.Table.from_pylist(one, SCHEMAS[name])) for name, one in rows.items()}


def score(kind: str, models: dict[str, str], shard: dict[str, pa.Table], **options: Any) -> pa.Table:
    stage = build("similarity", kind, **{"model": models[kind], "device": "cpu"} | options)
    return stage.process(shard).tables["similarity"]


def as_dict(table: pa.Table) -> dict[tuple[Any, ...], float]:
    return {tuple(list(row.values())[:-1]): row["similarity"] for row in table.to_pylist()}


def take(shard: dict[str, pa.Table], rows: list[int]) -> dict[str, pa.Table]:
    return shard | {"candidates": shard["candidates"].take(rows)}


def count_kept(run: Path) -> int:
    files = (run / "cache" / "vlm").glob("*.jsonl")
    return sum("answer" in json.loads(line) for path in files for line in path.read_text().splitlines())


@pytest.mark.parametrize("kind", ["clip", "blip"])
def test_every_candidate_has_a_similarity_of_its_own(kind, models, shard) -> None:
    stage = build("similarity", kind, model=models[kind], device="cpu")
    result = stage.process(shard)

    found = as_dict(result.tables["similarity"])
    assert {key[0] for key in found} == {"1", "3"}
    assert len(found) == result.kept == 2 * 3 * len(PREDICATES)
    assert all(0 <= one <= 1 for one in found.values())
    assert len(set(found.values())) > len(found) / 2
    assert [one.reason for one in result.quarantined] == ["empty_file"] * 3 * len(PREDICATES)


@pytest.mark.parametrize("kind", ["clip", "blip"])
def test_no_score_depends_on_the_others(kind, models, shard) -> None:
    whole = as_dict(score(kind, models, shard, batch_size=4))
    some = as_dict(score(kind, models, take(shard, [3, 4, 12, 31, 44]), batch_size=4))

    assert some
    assert all(whole[key] == one for key, one in some.items())


@pytest.mark.parametrize("kind", ["clip", "blip"])
def test_what_was_scored_once_is_not_scored_again(kind, models, shard, tmp_path, monkeypatch) -> None:
    options = {"run_folder": str(tmp_path), "batch_size": 4}
    # given a run that was killed after some of its pairs
    score(kind, models, take(shard, [0, 1, 2, 30]), **options)
    lines = [
        line
        for path in (tmp_path / "cache" / "vlm").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert sum("answer" in json.loads(line) for line in lines) == 4

    resumed = score(kind, models, shard, **options)
    assert resumed.equals(score(kind, models, shard, batch_size=4))

    # when all is kept, the model is not even loaded
    stage = build("similarity", kind, model=models[kind], device="cpu", **options)
    assert isinstance(stage, SimilarityStage)
    monkeypatch.setattr(type(stage.scorer), "load", lambda _: pytest.fail("loaded"))
    assert stage.process(shard).tables["similarity"].equals(resumed)


@pytest.mark.parametrize(
    "change",
    [{"view": "crop"}, {"margin": 0.5}, {"prompt": "statement/1"}, {"batch_size": 5}, {"pixels": 16}],
)
def test_another_view_sentence_or_batch_is_asked_anew(change, models, shard, tmp_path) -> None:
    given = take(shard, [0])

    score("clip", models, given, run_folder=str(tmp_path))
    score("clip", models, given, run_folder=str(tmp_path))
    assert count_kept(tmp_path) == 1
    score("clip", models, given, run_folder=str(tmp_path), **change)
    assert count_kept(tmp_path) == 2


def test_other_weights_are_another_model(models, shard, tmp_path) -> None:
    folder = write_tiny_clip(tmp_path / "clip", seed=SEED)
    given, cache = take(shard, [0]), str(tmp_path / "cache")
    before = score("clip", {"clip": str(folder)}, given, cache=cache)
    write_tiny_clip(folder, seed=SEED + 1)

    assert not score("clip", {"clip": str(folder)}, given, cache=cache).equals(before)


def test_blip_is_what_transformers_computes(models, shard) -> None:
    from transformers import AutoTokenizer, BlipForImageTextRetrieval

    from relforge.images.resize import normalise, resize
    from relforge.stages.tag.clip import CLIP_MEAN, CLIP_STD

    [found] = as_dict(score("blip", models, take(shard, [0]), view="crop", margin=10.0, pixels=1000)).values()

    pixels = np.array(Image.open(io.BytesIO(shard["images"]["bytes"][0].as_py())))
    tokenizer = AutoTokenizer.from_pretrained(models["blip"])
    model = BlipForImageTextRetrieval.from_pretrained(models["blip"]).eval()
    tokens = tokenizer("a photo of a person holding a dog", return_tensors="pt")
    square = normalise(resize(pixels, 32, 32, "bicubic")[None], CLIP_MEAN, CLIP_STD)
    with torch.inference_mode():
        logits = model(tokens["input_ids"], square, attention_mask=tokens["attention_mask"]).itm_score
    assert found == pytest.approx(float(logits.softmax(1)[0, 1]), abs=1e-5)


def test_a_captioner_has_no_matching_head(shard, tmp_path) -> None:
    from relforge.demo.job import WEIGHTS

    stage = build("similarity", "blip", model=str(WEIGHTS / "blip"), device="cpu")
    with pytest.raises(ValueError, match="has no itm_head"):
        stage.process(shard)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"view": "marks"}, "a pair is cropped"),
        ({"batch_size": 0}, "use 1 or more"),
        ({"prompt": "judge/9"}, "neither a file nor built in"),
        ({"margin": -1.0}, "margin is -1.0"),
    ],
)
def test_wrong_use_is_one_sentence(options, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        build("similarity", "clip", model="nowhere", **options)


def test_only_what_cannot_change_a_score_is_neutral(models) -> None:
    def key(**options: Any) -> str:
        return key_of("similarity", "clip", model=models["clip"], **options)

    assert key(device="cpu", threads=4, cache="elsewhere") == key()
    assert key(batch_size=4) != key()
    assert key(view="crop") != key()


def test_it_is_a_feature_of_the_quality(models, shard, rows) -> None:
    similarity = score("clip", models, shard)
    scores = rows.table(
        "scores",
        *({"image_id": "1", **PAIR, "predicate": one, "score": 0.5} for one in PREDICATES),
        {"image_id": "2", **PAIR, "predicate": "near", "score": 0.5},
    )

    described = describe_rows(add_column(scores, "similarity", similarity))

    found = dict(zip(FEATURES, described.T, strict=True))
    assert found["no_similarity"].tolist() == [0.0] * len(PREDICATES) + [1.0]
    probability = 1 / (1 + np.exp(-found["similarity"][: len(PREDICATES)]))
    known = as_dict(similarity)
    wanted = [known["1", 0, 1, one] for one in scores["predicate"].to_pylist()[:-1]]
    assert probability == pytest.approx(np.clip(wanted, 1e-4, 1 - 1e-4), abs=1e-5)
