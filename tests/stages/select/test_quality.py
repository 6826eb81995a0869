"""Select by learnt quality: features, the column, thresholds, and one sentence for wrong use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.stages.ground.model import hash_image
from relforge.stages.select.features import FEATURES, describe_rows
from relforge.stages.select.quality import QualityModel, Regression
from relforge.stages.select.quality_file import load_quality, save_quality
from relforge.stages.select.stage import SelectStage
from relforge.stages.tables import SCHEMAS

BASE = {"subject_box": 0, "object_box": 1, "predicate": "on"}


def write_model(
    path: Path, support: float = 0.0, tables: Sequence[str] = (), seen: str = "", **predicates: float
) -> str:
    """Quality is the score's, moved by support and predicate; of the image `seen` it is nearly 0."""
    weights = np.zeros(len(FEATURES))
    weights[FEATURES.index("score")], weights[FEATURES.index("support")] = 1.0, support
    ones, zeros = np.ones(len(FEATURES)), np.zeros(len(FEATURES))
    whole, without = (Regression(zeros, ones, weights, bias, predicates) for bias in (0.0, -50.0))
    folds = [without if number == hash_image(seen) % 5 else whole for number in range(5)]
    hashes = frozenset({hash_image(seen)} if seen else ())
    model = QualityModel(whole, folds, hashes, {0.5: 0.4, 0.8: 0.7}, 0.6, frozenset(tables))
    save_quality(path, model, {"licence": "mine"})
    return str(path)


def select(rows: Any, *scores: dict[str, Any], **options: Any) -> Any:
    tables = {
        "scores": rows.table("scores", *(BASE | row for row in scores)),
        "images": rows.table("images", *({"image_id": name} for name in ("1", "2", "3"))),
    }
    return SelectStage(**options).process(tables | {"boxes": rows.boxes("a", "b", "c")})


def test_features_are_of_the_claim(rows) -> None:
    table = rows.table(
        "scores",
        BASE | {"score": 0.2, "claim_id": 1, "alternatives": 2, "prior": 0.9},
        BASE | {"score": 0.6, "claim_id": 1, "alternatives": 2, "object_box": 2},
        BASE | {"score": 0.9, "claim_id": 2, "predicate": "near", "support": 3},
        BASE | {"score": 0.9, "claim_id": 1, "image_id": "2"},
    )

    found = {name: describe_rows(table)[:, place] for place, name in enumerate(FEATURES)}

    near, on, other, second_image = 0, 1, 2, 3  # in the order of the table's keys
    assert table["predicate"].to_pylist() == ["near", "on", "on", "on"]
    assert found["score_share"][[on, other]] == pytest.approx([0.25, 0.75])
    assert found["score_share"][[near, second_image]] == pytest.approx([1, 1])
    assert found["score_rank"] == pytest.approx(np.log1p([0, 1, 0, 0]))
    assert found["support"][near] == pytest.approx(np.log(4))
    assert found["no_prior"].tolist() == [1, 0, 1, 1]
    assert found["prior"] == pytest.approx([0, np.log(9), 0, 0], abs=1e-5)


def test_features_are_of_the_pair_and_the_image(rows) -> None:
    table = rows.table(
        "scores",
        BASE | {"score": 0.9, "claim_id": 1, "support": 3},
        BASE | {"score": 0.3, "claim_id": 2, "predicate": "near", "support": 1},
        BASE | {"score": 0.5, "claim_id": 2, "predicate": "near", "object_box": 2},
        BASE | {"score": 0.5, "claim_id": 1, "image_id": "2"},
    )

    found = {name: describe_rows(table)[:, place] for place, name in enumerate(FEATURES)}

    order = [(row["image_id"], row["object_box"], row["predicate"]) for row in table.to_pylist()]
    assert order == [("1", 1, "near"), ("1", 1, "on"), ("1", 2, "near"), ("2", 1, "on")]
    assert found["pair_share"] == pytest.approx([0.25, 0.75, 1, 1])
    assert found["pair_support"] == pytest.approx([0.25, 0.75, 1, 1])
    assert np.exp(found["pair_predicates"]) == pytest.approx([2, 2, 1, 1])
    assert np.exp(found["candidates"]) == pytest.approx([3, 3, 3, 1])


def test_relations_are_chosen_by_quality_and_have_it(rows, tmp_path) -> None:
    weights = write_model(tmp_path / "q.json", support=2.0, near=-4.0)
    scores: list[dict[str, Any]] = [
        {"score": 0.5, "support": 1, "predicate": "in"},
        {"score": 0.4, "support": 9},
        {"score": 0.9, "predicate": "near"},
    ]

    result = select(rows, *scores, quality="learned", weights=weights, threshold=0.6)

    relations = result.tables["relations"]
    assert relations["predicate"].to_pylist() == ["in", "on"]
    quality = 1 / (1 + np.exp(-(np.array([0.0, np.log(0.4 / 0.6)]) + 2 * np.log([2, 10]))))
    assert relations["quality"].to_pylist() == pytest.approx(quality.tolist(), abs=1e-6)
    assert result.dropped == {"below_threshold": 1}


def test_a_target_precision_is_the_threshold_that_reached_it(rows, tmp_path) -> None:
    weights = write_model(tmp_path / "q.json")
    scores: list[dict[str, Any]] = [{"score": 0.75}, {"score": 0.65, "predicate": "in"}]

    learned = {"quality": "learned", "weights": weights}
    assert select(rows, *scores, **learned, precision=0.45).kept == 2
    assert select(rows, *scores, **learned, precision=0.6).kept == 1


def test_a_score_that_is_no_number_never_passes(rows, tmp_path) -> None:
    weights = write_model(tmp_path / "q.json")
    result = select(rows, {"score": float("nan")}, quality="learned", weights=weights)
    assert result.dropped == {"not_a_number": 1}


def test_no_other_image_of_the_shard_matters(rows, tmp_path) -> None:
    options = {
        "quality": "learned",
        "weights": write_model(tmp_path / "q.json", support=0.3),
        "threshold": 0.0,
    }
    random = np.random.default_rng(0)
    scores: list[dict[str, Any]] = [
        {"score": one, "support": 2, "image_id": str(n % 3 + 1), "predicate": f"p{n}"}
        for n, one in enumerate(random.random(37))
    ]

    alone: dict[str, float] = {}
    for image in ("1", "2", "3"):
        own = (one for one in scores if one["image_id"] == image)
        alone |= read_quality(select(rows, *own, **options).tables["relations"])

    assert read_quality(select(rows, *scores, **options).tables["relations"]) == alone


def read_quality(relations: Any) -> dict[str, float]:
    return dict(zip(relations["predicate"].to_pylist(), relations["quality"].to_pylist(), strict=True))


def test_by_score_there_is_no_such_column(rows) -> None:
    stage = SelectStage()
    assert not hasattr(stage, "schemas")
    assert select(rows, {"score": 0.9}).tables["relations"].schema == SCHEMAS["relations"]


def test_without_a_threshold_the_best_of_the_fit_counts(rows, tmp_path) -> None:
    learned = {"quality": "learned", "weights": write_model(tmp_path / "q.json")}
    scores: list[dict[str, Any]] = [{"score": 0.61}, {"score": 0.59, "predicate": "in"}]

    assert select(rows, *scores, **learned).tables["relations"]["predicate"].to_pylist() == ["on"]
    assert select(rows, *scores).kept == 2  # of the score it is 0.2


def test_an_image_of_the_fit_is_scored_by_the_fold_that_did_not_see_it(rows, tmp_path) -> None:
    weights = write_model(tmp_path / "q.json", seen="2")
    scores: list[dict[str, Any]] = [{"score": 0.9, "image_id": name} for name in ("1", "2", "3")]

    relations = select(rows, *scores, quality="learned", weights=weights, threshold=0.0).tables["relations"]

    assert relations["image_id"].to_pylist() == ["1", "2", "3"]
    assert relations["quality"].to_pylist() == pytest.approx([0.9, 0.0, 0.9], abs=1e-4)


def test_tables_are_read_that_the_fit_knew(tmp_path) -> None:
    plain, with_support = (
        SelectStage(quality="learned", weights=write_model(tmp_path / f"{name}.json", tables=tables))
        for name, tables in (("plain", ()), ("support", ("image_support",)))
    )
    assert "image_support" not in plain.inputs
    assert "image_support" in with_support.inputs
    assert with_support.files() == (str(tmp_path / "support.json"),)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"quality": "best"}, "select.quality: 'best' is not one of score, learned"),
        ({"quality": "learned"}, "select.weights: missing"),
        ({"weights": "q.json"}, "only `quality: learned` knows it"),
        ({"precision": 0.9}, "only `quality: learned` knows it"),
        ({"quality": "learned", "weights": "nowhere.json"}, "relforge quality fit"),
        ({"quality": "learned", "weights": "q.json", "precision": 0.9}, "0.80 is the most"),
        ({"quality": "learned", "weights": "q.json", "precision": 1.0}, "not between 0 and 1"),
        ({"quality": "learned", "weights": "q.json", "prior": 0.5}, "leave out"),
        ({"quality": "learned", "weights": "broken.json"}, "cannot be read"),
    ],
)
def test_wrong_use_is_one_sentence(options, sentence, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "q.json")
    (tmp_path / "broken.json").write_text('{"version": 2, "whole": {"features": {"score": {}}}}')

    with pytest.raises(ValueError, match=sentence):
        SelectStage(**options)


def test_a_file_reads_back_as_it_was_written(tmp_path) -> None:
    path = Path(write_model(tmp_path / "q.json", support=0.25, near=1.5))
    before = path.read_bytes()
    save_quality(path, load_quality(path), {"licence": "mine"})
    assert path.read_bytes() == before
