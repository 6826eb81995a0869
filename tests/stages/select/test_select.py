"""Select: threshold, duplicates, overlap prior, top-k; every score row is accounted for."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from relforge.stages.select.stage import SelectStage
from relforge.stages.tables import conform


def select(rows, *scores: dict, boxes: pa.Table | None = None, **options):
    base = {"subject_box": 0, "object_box": 1, "predicate": "on"}
    tables = {
        "scores": rows.table("scores", *(base | row for row in scores)),
        "images": rows.table("images", {}, {"image_id": "2"}),
        "boxes": boxes if boxes is not None else rows.boxes("a", "b", "c"),
    }
    result = SelectStage(**options).process(tables)
    assert result.kept + sum(result.dropped.values()) == len(scores)
    return result


def test_the_threshold_is_inclusive_and_not_a_number_never_passes(rows) -> None:
    result = select(rows, {"score": 0.2}, {"score": 0.19, "predicate": "in"}, {"score": float("nan")})
    assert result.tables["relations"]["predicate"].to_pylist() == ["on"]
    assert result.dropped == {"not_a_number": 1, "below_threshold": 1}


def test_product_confidence_multiplies_what_is_there(rows) -> None:
    weak = {"score": 0.5, "subject_score": 0.5, "object_score": 0.5}
    strong = {"score": 0.5, "predicate": "in"}
    kept = select(rows, weak, strong, confidence="product").tables["relations"]
    assert kept["predicate"].to_pylist() == ["in"]


def test_duplicates_keep_the_maximum(rows) -> None:
    same = [{"score": s, "position": i} for i, s in enumerate((0.4, 0.9, 0.9, 0.3))]
    result = select(rows, *same)
    assert result.tables["relations"]["position"].to_pylist() == [1]
    assert result.dropped == {"duplicate": 3}
    assert select(rows, *same, deduplicate="published").kept == 2
    assert select(rows, *same, deduplicate="none").kept == 4


def test_top_k_per_pair_then_per_image(rows) -> None:
    scores = [{"score": s, "predicate": p} for s, p in ((0.9, "a"), (0.8, "b"), (0.7, "c"))]
    scores += [{"score": 0.95, "predicate": "a", "object_box": 2}]
    result = select(rows, *scores, top_k_pair=2, top_k_image=2)
    kept = [(r["object_box"], r["predicate"]) for r in result.tables["relations"].to_pylist()]
    assert kept == [(1, "a"), (2, "a")]
    assert result.dropped == {"beyond_top_k_pair": 1, "beyond_top_k_image": 1}


def test_overlap_prior(rows) -> None:
    boxes = rows.table("boxes", *({"box_id": i, "category": "a", "x": 10.0 * (i == 2)} for i in range(3)))
    result = select(rows, {"score": 1.0}, {"score": 1.0, "object_box": 2}, boxes=boxes, overlap_prior=True)
    assert result.tables["relations"]["object_box"].to_pylist() == [1]


def test_ids_are_derived_from_the_relation_alone(rows) -> None:
    first = select(rows, {"score": 0.9}, {"score": 0.8, "predicate": "in"}, {"score": 0.9, "image_id": "2"})
    again = select(rows, {"score": 0.3, "rule": "of|of", "support": 3})
    ids = first.tables["relations"]["relation_id"].to_pylist()
    assert len(set(ids)) == 3
    assert all(len(identity) == 32 for identity in ids)
    (row,) = [
        r for r in first.tables["relations"].to_pylist() if r["image_id"] == "1" and r["predicate"] == "on"
    ]
    assert again.tables["relations"]["relation_id"].to_pylist() == [row["relation_id"]]


def test_published_deduplication_equals_the_golden(shared, rows) -> None:
    golden = json.loads(shared("goldens/g6_deduplicate.json").read_text())
    scores: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    order: dict[int, int] = {}
    for image in golden["input"]:
        images.append({"image_id": str(image["image_id"])})
        for row in image["relationships"]:
            order[row["relationship_id"]] = len(scores)
            scores.append(
                {"image_id": str(image["image_id"]), "predicate": row["predicate"],
                 "subject_box": row["subject_id"], "object_box": row["object_id"],
                 "score": row["confidence"], "position": row["relationship_id"]}
            )  # fmt: skip
    tables = {
        "scores": rows.table("scores", *scores),
        "images": rows.table("images", *images),
        "boxes": rows.table("boxes"),
    }
    kept = SelectStage(threshold=0, deduplicate="published").process(tables).tables["relations"]
    expected = [r["relationship_id"] for image in golden["output"] for r in image["relationships"]]
    assert sorted(kept["position"].to_pylist()) == sorted(expected)


@pytest.mark.parametrize(
    "options", [{"threshold": 2}, {"confidence": "x"}, {"deduplicate": "x"}, {"top_k_pair": 0}]
)
def test_bad_options_name_the_field(options: dict) -> None:
    with pytest.raises(ValueError, match=f"select.{next(iter(options))}"):
        SelectStage(**options)


def test_no_scores_give_no_relations(rows) -> None:
    result = select(rows)
    assert result.tables["relations"].num_rows == 0
    conform("relations", result.tables["relations"])
