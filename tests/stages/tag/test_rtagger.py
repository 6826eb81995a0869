"""The tag stage with the R-Tagger, on a small model with random weights."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from relforge.kernels.msda.module import MSDeformAttn
from relforge.kernels.msda.self_test import SelfTest, SelfTestFailed, self_test
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS
from tests.fixtures.keys import key_of

SCORES = ["score", "subject_score", "object_score"]


@pytest.fixture(scope="module")
def model(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.folder(tmp_path_factory.mktemp("tagger")))


@pytest.fixture(scope="module")
def stage(model: str) -> Any:
    """`stage(floor=0.01)`: a set-up tag stage with small images."""

    def make(**options: Any) -> Any:
        built = build("tag", "rtagger", **{"model": model, "short_side": 64, "long_side": 128, **options})
        built.setup()
        return built

    return make


def png(seed: int, width: int = 100, height: int = 80) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png")
    return out.getvalue()


@pytest.fixture
def shard(rows: Any) -> dict[str, pa.Table]:
    """Two images; the second has one candidate."""
    images = [{"image_id": str(i), "width": 100, "height": 80, "bytes": png(i)} for i in (1, 2)]
    boxes = [
        {"image_id": str(i), "box_id": b, "category": c, "x": 10.0 * b, "y": 5.0 * b, "w": 30.0, "h": 40.0}
        for i in (1, 2)
        for b, c in ((0, "person"), (2, "horse"), (3, "dog"))
    ]
    said = [("1", 0, 2, "riding"), ("1", 0, 2, "next to"), ("1", 3, 0, "near"), ("2", 0, 3, "holding")]
    candidates = [
        {"image_id": i, "subject_box": s, "object_box": o, "predicate": p, "position": n}
        for n, (i, s, o, p) in enumerate(said)
    ]
    return {
        "images": rows.table("images", *images),
        "boxes": rows.table("boxes", *boxes),
        "candidates": rows.table("candidates", *candidates),
    }


@pytest.fixture
def rows() -> Any:
    from tests.fixtures import rows as hand_made

    return hand_made


def accounted(result: Any) -> int:
    return result.kept + sum(result.dropped.values()) + len(result.quarantined)


def test_every_candidate_gets_a_score_of_its_own(stage: Any, shard: Any) -> None:
    result = stage(floor=0.0).process(shard)
    scores = result.tables["scores"]
    assert scores.schema.equals(SCHEMAS["scores"])
    keys = ("image_id", "subject_box", "object_box", "predicate", "position")
    assert scores.select(keys).to_pylist() == shard["candidates"].select(keys).to_pylist()
    for column in ("score", "subject_score", "object_score"):
        assert all(0 < value < 1 for value in scores[column].to_pylist())
    assert set(scores["tagger"].to_pylist()) == {scores["tagger"][0].as_py()}
    assert scores["tagger"][0].as_py().startswith("rtagger:")
    assert result.kept == 4
    assert result.notes["kernel"] in ("cpu", "reference")


def test_scores_not_above_the_floor_are_counted_and_dropped(stage: Any, shard: Any) -> None:
    every = stage(floor=0.0).process(shard).tables["scores"]["score"].to_pylist()
    floor = float(np.float32(sorted(every)[1]))
    result = stage(floor=floor).process(shard)
    assert result.tables["scores"].num_rows == 2
    assert result.dropped == {"below_floor": 2}
    assert accounted(result) == 4


def test_a_shard_without_candidates_gives_an_empty_table(stage: Any, shard: Any) -> None:
    result = stage().process({**shard, "candidates": shard["candidates"].slice(0, 0)})
    assert result.tables["scores"].num_rows == 0
    assert accounted(result) == 0


def test_a_damaged_image_is_quarantined_with_its_candidates(stage: Any, shard: Any, rows: Any) -> None:
    images = shard["images"].to_pylist()
    images[0]["bytes"] = images[0]["bytes"][:50]
    result = stage(floor=0.0).process({**shard, "images": rows.table("images", *images)})
    assert [q.record["predicate"] for q in result.quarantined] == ["next to", "riding", "near"]
    assert {q.record["image_id"] for q in result.quarantined} == {"1"}
    assert result.kept == 1


def test_an_image_of_another_shape_than_annotated_is_quarantined(stage: Any, shard: Any, rows: Any) -> None:
    images = shard["images"].to_pylist()
    images[1]["bytes"] = png(2, width=60, height=90)
    result = stage(floor=0.0).process({**shard, "images": rows.table("images", *images)})
    assert [(q.reason, q.record["image_id"]) for q in result.quarantined] == [("size_mismatch", "2")]


def test_a_text_longer_than_the_encoder_reads_is_dropped(stage: Any, shard: Any, rows: Any) -> None:
    candidates = shard["candidates"].to_pylist()
    candidates[3]["predicate"] = "on " * 100
    result = stage(floor=0.0).process({**shard, "candidates": rows.table("candidates", *candidates)})
    assert result.dropped == {"text_too_long": 1}
    assert accounted(result) == 4


def test_scores_do_not_depend_on_the_rest_of_the_shard(stage: Any, shard: Any) -> None:
    tagger = stage(floor=0.0, batch_size=2)
    whole = tagger.process(shard).tables["scores"].slice(3, 1)["score"][0].as_py()
    part = shard["candidates"].slice(3, 1)
    alone = tagger.process({**shard, "candidates": part}).tables["scores"]["score"][0].as_py()
    assert abs(whole - alone) < 2e-5


def test_categories_the_model_does_not_know_are_scored_too(stage: Any, shard: Any, rows: Any) -> None:
    boxes = [row | {"category": "mat horse"} for row in shard["boxes"].to_pylist()]
    result = stage(floor=0.0).process({**shard, "boxes": rows.table("boxes", *boxes)})
    assert result.kept == 4


def test_union_scores_pairs_against_texts_of_the_other_pairs(stage: Any, shard: Any) -> None:
    result = stage(floor=0.0, texts="union").process(shard)
    scores = result.tables["scores"].to_pylist()
    first = [row for row in scores if row["image_id"] == "1"]
    # three candidates are three queries (a pair is repeated), each scored against three texts
    assert len(first) == 9
    leaked = [row for row in first if row["rule"] == "union"]
    assert {(row["subject_box"], row["object_box"], row["predicate"]) for row in leaked} == {
        (3, 0, "riding"),
        (3, 0, "next to"),
        (0, 2, "near"),
    }
    assert all(row["support"] == 0 for row in leaked)
    assert result.kept == 4


def test_union_groups_are_no_larger_than_the_model(stage: Any, shard: Any, tiny: Any) -> None:
    first = shard["candidates"].to_pylist()[0]
    many = [first | {"predicate": f"near {number}"} for number in range(tiny.SIZES.pairs + 2)]
    candidates = pa.Table.from_pylist(many, shard["candidates"].schema)

    result = stage(floor=0.0, texts="union").process({**shard, "candidates": candidates})

    scored = {row["predicate"] for row in result.tables["scores"].to_pylist()}
    assert scored == {row["predicate"] for row in many}
    assert result.kept == len(many)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"texts": "all"}, "texts is 'all'; choose own or union"),
        ({"dtype": "float16"}, "dtype is 'float16'; choose auto, float32 or bfloat16"),
        ({"floor": 1.5}, "floor is 1.5; it must be a probability below 1"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("?", r"\?")):
        build("tag", "rtagger", model="m", **options)


def test_a_model_that_searches_for_pairs_is_no_tagger(tiny: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    from relforge.models.checkpoint import save_model

    blueprint = replace(tiny.BLUEPRINT, kind="parsed")
    save_model(tmp_path, tiny.model("parsed"), blueprint, tiny.tokenizer())
    stage = build("tag", "rtagger", model=str(tmp_path))
    with pytest.raises(ValueError, match="is a parsed model, not an R-Tagger"):
        stage.setup()


def test_tagging_never_starts_without_the_kernel_self_test(model: str, monkeypatch: Any) -> None:
    def fail(*args: object, **options: object) -> None:
        raise SelfTestFailed("the kernel is wrong")

    monkeypatch.setattr("relforge.kernels.msda.self_test.self_test", fail)
    stage = build("tag", "rtagger", model=model)

    with pytest.raises(SelfTestFailed):
        stage.setup()
    with pytest.raises(RuntimeError, match="setup"):
        stage.process({})


def test_the_self_test_runs_what_the_stage_runs(model: str, monkeypatch: Any) -> None:
    told: dict[str, Any] = {}

    def listen(*args: object, **options: Any) -> SelfTest:
        told.update(options)
        return self_test(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("relforge.kernels.msda.self_test.self_test", listen)
    stage: Any = build("tag", "rtagger", model=model)
    stage.setup()

    attention = [m for m in stage.tagger.engine.model.modules() if isinstance(m, MSDeformAttn)]
    sizes = {(m.d_model // m.n_heads, m.n_points, m.n_levels) for m in attention}
    assert {use[:3] for use in told["uses"]} == sizes
    assert {(use.boxes, use.masked) for use in told["uses"]} == {(a, b) for a in (0, 1) for b in (0, 1)}


NEUTRAL = {"batch_size": 2, "decoder_batches": 1, "threads": 1}


def test_options_that_decide_nothing_change_neither_the_rows_nor_the_key(
    stage: Any, shard: Any, model: str, tmp_path: Path
) -> None:
    plain = stage(floor=0.01).process(shard).tables["scores"]
    other = stage(floor=0.01, cache=str(tmp_path), **NEUTRAL).process(shard).tables["scores"]

    assert other.drop_columns(SCORES) == plain.drop_columns(SCORES)
    for name in SCORES:
        # images of a batch differ in the last bits of float32
        np.testing.assert_allclose(other[name].to_numpy(), plain[name].to_numpy(), rtol=0, atol=2e-5)
    key = key_of("tag", "rtagger", model=model)
    for option, value in {**NEUTRAL, "cache": str(tmp_path), "device": "cuda"}.items():
        assert key_of("tag", "rtagger", model=model, **{option: value}) == key, option


@pytest.mark.parametrize("changed", [{"dtype": "bfloat16"}, {"floor": 0.1}, {"short_side": 64}])
def test_options_that_decide_scores_change_the_key(model: str, changed: dict[str, Any]) -> None:
    assert key_of("tag", "rtagger", model=model, **changed) != key_of("tag", "rtagger", model=model)


def test_a_model_on_the_hub_counts_by_its_content(model: str, hub_model: Callable[[str, Path], Path]) -> None:
    folder = hub_model("somebody/tagger", Path(model))
    before = key_of("tag", "rtagger", model="somebody/tagger")

    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")

    assert key_of("tag", "rtagger", model="somebody/tagger") != before


@pytest.mark.parametrize("missing", ["./none", "none.pth", "nobody/no-such-tagger"])
def test_a_missing_model_is_refused_before_anything_runs(missing: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"model '{missing}'"):
        build("tag", "rtagger", model=missing).files()


def test_a_published_file_counts_with_its_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tagger.pth").write_bytes(b"weights")
    tokenizer = tmp_path / "roberta"
    tokenizer.mkdir()
    (tokenizer / "tokenizer.json").write_text("{}")

    files = build("tag", "rtagger", model=str(tmp_path / "tagger.pth"), tokenizer=str(tokenizer)).files()

    assert [Path(file).name for file in files] == ["tokenizer.json", "tagger.pth"]


def test_the_evidence_of_a_candidate_goes_with_its_score(stage: Any, shard: Any, rows: Any) -> None:
    candidates = [
        row | {"triplet_ids": [{"caption_id": 0, "triplet_id": n}]}
        for n, row in enumerate(shard["candidates"].to_pylist())
    ]
    given = rows.table("candidates", *candidates)

    scores = stage(floor=0.0).process({**shard, "candidates": given}).tables["scores"]

    assert scores.select(SCHEMAS["candidates"].names) == given


def test_a_class_of_the_list_is_the_same_in_another_spelling(stage: Any, shard: Any) -> None:
    tagger = stage(classes=["person", "horse", "dog"], floor=0.0)
    names = pa.array(["Persons" if c == "person" else c for c in shard["boxes"]["category"].to_pylist()])
    at = shard["boxes"].schema.get_field_index("category")
    other = shard | {"boxes": shard["boxes"].set_column(at, "category", names)}
    usual, found = (tagger.process(tables).tables["scores"].select(SCORES) for tables in (shard, other))
    assert found == usual


def test_scores_within_the_margin_below_the_floor_are_left_to_the_selection(stage: Any, shard: Any) -> None:
    """On a GPU a score moves with the other images of its batch: the floor must not decide."""
    scores = sorted(stage(floor=0.0).process(shard).tables["scores"]["score"].to_pylist())
    floor = scores[2]  # not above itself
    built = stage(floor=floor)
    strict = built.process(shard)
    assert (strict.kept, strict.dropped["below_floor"]) == (1, 3)
    assert "margin" not in strict.notes
    built.loaded = replace(built.loaded, margin=floor - scores[1] + 1e-4)
    lenient = built.process(shard)
    assert (lenient.kept, lenient.dropped["below_floor"]) == (3, 1)
    assert lenient.notes["margin"] > 0
