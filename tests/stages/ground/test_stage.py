"""The ground stage: a prior and a rank for every candidate, and what is unlikely counted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from relforge.stages.registry import build
from relforge.stages.select.stage import SelectStage

NEAR, FAR = {"x": 12.0}, {"x": 80.0}


def tables(rows, *pairs, boxes=None, **same):
    """Candidates of one image: (subject box, object box, claim)."""
    given = [
        {"subject_box": s, "object_box": o, "claim_id": claim, "predicate": f"p{claim}"}
        for s, o, claim in pairs
    ]
    people = boxes or rows.table(
        "boxes",
        {"box_id": 0, "category": "person", "x": 10.0},
        {"box_id": 1, "category": "dog", **NEAR},
        {"box_id": 2, "category": "dog", **FAR},
    )
    return {
        "candidates": rows.table("candidates", *given, **same),
        "boxes": people,
        "images": rows.table("images", {}),
    }


def ground(backend, given, **options):
    stage = build("ground", backend, **options)
    stage.setup()
    return stage.process(given)


def test_the_nearest_pair_of_a_claim_is_its_first(rows) -> None:
    result = ground("nearest", tables(rows, (0, 1, 0), (0, 2, 0), (0, 2, 1)), floor=0.0)

    found = result.tables["grounded"]
    assert found["prior_rank"].to_pylist() == [1, 2, 1]
    near, far, again = found["prior"].to_pylist()
    assert 1 > near > far > 0
    assert far == again
    assert (result.kept, result.dropped) == (3, {})


def test_pairs_below_the_floor_are_counted_as_improbable(rows) -> None:
    result = ground("nearest", tables(rows, (0, 1, 0), (0, 2, 0)), floor=0.1)

    assert result.tables["grounded"]["object_box"].to_pylist() == [1]
    assert (result.kept, result.dropped) == (1, {"improbable_pair": 1})


def test_without_a_prior_everything_goes_on(rows) -> None:
    result = ground("none", tables(rows, (0, 1, 0), (0, 2, 0)))

    assert result.tables["grounded"]["prior"].to_pylist() == [None, None]
    assert result.tables["grounded"]["prior_rank"].to_pylist() == [None, None]
    assert (result.kept, result.dropped) == (2, {})


@pytest.mark.parametrize("backend", ["none", "nearest", "learned"])
def test_a_shard_without_candidates_is_grounded(rows, backend) -> None:
    given = tables(rows, (0, 1, 0))
    given["candidates"] = given["candidates"].slice(0, 0)

    assert ground(backend, given).tables["grounded"].num_rows == 0


def test_a_box_that_is_not_there_is_named(rows) -> None:
    with pytest.raises(ValueError, match="image 1: object_box 7 is not among its boxes"):
        ground("nearest", tables(rows, (0, 7, 0)))


def test_a_floor_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="floor is 1; it must be a probability below 1"):
        build("ground", "nearest", floor=1)


def test_a_rule_tagger_carries_the_prior_and_select_weighs_it(rows) -> None:
    given = tables(rows, (0, 1, 0), (0, 2, 0))
    grounded = ground("nearest", given, floor=0.0).tables["grounded"]
    scores = (
        build("tag", "rule", candidates="grounded").process(given | {"grounded": grounded}).tables["scores"]
    )
    assert scores["prior"].to_pylist() == grounded["prior"].to_pylist()
    assert scores["score"].to_pylist() == [1.0, 1.0]

    def kept(**options):
        result = SelectStage(threshold=0.2, **options).process({"scores": scores, **given})
        return result.tables["relations"]["object_box"].to_pylist()

    assert kept() == [1, 2]
    assert kept(prior=1.0) == [1]


def test_relations_without_a_prior_keep_their_confidence(rows) -> None:
    given = tables(rows, (0, 1, 0))
    scores = build("tag", "rule").process(given).tables["scores"]

    assert scores["prior"].null_count == 1
    assert SelectStage(prior=1.0).process({"scores": scores, **given}).kept == 1
    with pytest.raises(ValueError, match=r"select.prior: 2 is not between 0 and 1"):
        SelectStage(prior=2)


def test_ranks_and_priors_are_of_the_image_alone(rows) -> None:
    one = tables(rows, (0, 1, 0), (0, 2, 0))
    other = {name: _rename(table) for name, table in one.items()}
    both = {name: pa.concat_tables([one[name], other[name]]) for name in one}

    together = ground("learned", both, floor=0.0).tables["grounded"]
    apart = [ground("learned", given, floor=0.0).tables["grounded"] for given in (one, other)]
    assert together.equals(pa.concat_tables(apart))
    assert np.isfinite(together["prior"].to_numpy()).all()


def _rename(table: pa.Table) -> pa.Table:
    return table.set_column(0, table.schema.field(0), pa.array(["2"] * table.num_rows))


def test_the_shipped_prior_prefers_the_board_underfoot(rows) -> None:
    boxes = rows.table(
        "boxes",
        {"box_id": 0, "category": "person", "x": 100.0, "y": 100.0, "w": 60.0, "h": 150.0},
        {"box_id": 1, "category": "surfboard", "x": 80.0, "y": 235.0, "w": 120.0, "h": 30.0},
        {"box_id": 2, "category": "surfboard", "x": 500.0, "y": 60.0, "w": 20.0, "h": 8.0},
    )
    given = tables(rows, (0, 1, 0), (0, 2, 0), boxes=boxes, alternatives=2, object_count=1)
    given |= {"images": rows.table("images", {}, width=640, height=480)}
    place = given["candidates"].schema.get_field_index("predicate")
    given["candidates"] = given["candidates"].set_column(place, "predicate", pa.array(["riding"] * 2))

    result = ground("learned", given)

    found = result.tables["grounded"]
    assert found["object_box"].to_pylist()[0] == 1
    assert found["prior_rank"].to_pylist()[0] == 1
    assert found["prior"][0].as_py() > 0.3
    assert all(prior < 0.15 for prior in found["prior"].to_pylist()[1:])
