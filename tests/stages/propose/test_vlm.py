"""Proposals: which boxes are asked about together, in which passes, and what becomes of the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.stages.account import Account
from relforge.stages.answers.worth import Worth, group_pairs
from relforge.stages.registry import build
from relforge.vlm.client import Answer, Request
from tests.fixtures.vlm import GivenAnswers
from tests.fixtures.vlm_stages import answered_by, shard

BOXES = {
    "a": [("person", 5, 5, 30, 60), ("horse", 30, 20, 50, 50), ("hat", 10, 0, 10, 8)],
    "b": [("person", 5, 5, 30, 60), ("person", 30, 5, 30, 60)],
    "c": [("person", 5, 5, 30, 60)],
}


def relations(*triplets: tuple[int, str, int]) -> str:
    rows = [{"subject": s, "predicate": p, "object": o} for s, p, o in triplets]
    return json.dumps({"relations": rows})


def propose(answer: Any, broken: tuple[str, ...] = (), boxes: Any = BOXES, **options: Any) -> Any:
    asked: dict[str, Any] = {"endpoint": "http://127.0.0.1:1/v1", "model": "some/proposer"}
    stage = build("propose", "vlm", **asked | options)
    client = GivenAnswers(answer)
    return answered_by(stage, client).process(shard(boxes, broken)), client


def found(result: Any) -> list[tuple[str, int, str, int, int]]:
    rows = result.tables["candidates"].to_pylist()
    return [(r["image_id"], r["subject_box"], r["predicate"], r["object_box"], r["support"]) for r in rows]


def test_numbers_of_the_question_become_boxes_in_two_passes() -> None:
    def answer(one: Request) -> str:
        if one.image_id == "b":
            return relations()
        if "are known" not in one.text:
            return relations((1, "Riding", 2), (3, "on", 1))
        assert "1 riding 2\n3 on 1" in one.text
        return relations((2, "under", 1), (1, "riding", 2))

    result, client = propose(answer)
    assert found(result) == [("a", 0, "riding", 1, 1), ("a", 1, "under", 0, 1), ("a", 2, "on", 0, 1)]
    rows = result.tables["candidates"].to_pylist()
    assert [row["position"] for row in rows] == [0, 2, 1]
    assert {row["rule"] for row in rows} == {"vlm"}
    assert (result.kept, result.dropped) == (1, {"no_relation": 1, "no_pair": 1})
    [first] = [one for one in client.asked if one.image_id == "a" and "are known" not in one.text]
    assert "1: person [50,62,350,812]\n2: horse" in first.text
    assert [view.recipe["view"] for view in first.views] == ["plain", "marks"]
    assert first.schema is not None
    assert result.tables["propose_answers"].num_rows == 4


def test_support_counts_the_samples_that_say_so() -> None:
    def answer(one: Request) -> str:
        return relations((1, "riding", 2), *([(3, "on", 1)] if one.sample else []))

    result, _ = propose(answer, boxes={"a": BOXES["a"]}, samples=3, temperature=1.0)
    assert found(result) == [("a", 0, "riding", 1, 3), ("a", 2, "on", 0, 2)]


def test_senseless_relations_are_counted_and_the_image_is_kept() -> None:
    senseless = relations((1, "riding", 2), (1, "on", 9), (1, "on", 1), (1, "", 2), (1, "riding", 2))
    result, _ = propose(lambda one: senseless)
    reasons = ("bad_predicate", "duplicate", "same_box", "unknown_box")
    assert result.notes["relations_dropped"] == dict.fromkeys(reasons, 4)  # two images, two passes
    assert result.kept == 2


@pytest.mark.parametrize(
    ("answer", "reason", "asked"),
    [
        (Answer("no JSON"), "invalid_json", 2),
        (Answer("{", "length"), "truncated", 2),
        (Answer("I'm sorry, I can't."), "refused", 1),
        (Answer("", "", verdict="server_error", detail="three times"), "server_error", 1),
    ],
)
def test_an_image_without_a_usable_answer_is_set_aside(answer: Answer, reason: str, asked: int) -> None:
    result, client = propose(lambda one: answer, boxes={"a": BOXES["a"]})
    assert [one.reason for one in result.quarantined] == [reason]
    assert len(client.asked) == asked
    assert not found(result)


def test_an_answer_that_cannot_be_read_is_asked_for_once_more() -> None:
    result, client = propose(
        lambda one: relations((1, "on", 2)) if one.sample else "nonsense", boxes={"a": BOXES["a"]}
    )
    assert result.kept == 1
    assert len({one.sample for one in client.asked}) == 2


def test_a_broken_image_is_set_aside() -> None:
    result, client = propose(lambda one: relations((1, "on", 2)), broken=("a",))
    assert [one.reason for one in result.quarantined] == ["not_an_image"]
    assert {one.image_id for one in client.asked} == {"b"}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["", "{", relations((1, "on", 2)), relations()]) | st.text(), min_size=1))
def test_any_answers_leave_the_account_whole(texts: list[str]) -> None:
    def answer(one: Request) -> str:
        return texts[(len(one.image_id) + one.sample + len(one.text)) % len(texts)]

    result, _ = propose(answer, broken=("b",))
    assert result.kept + sum(result.dropped.values()) + len(result.quarantined) == len(BOXES)


def test_far_and_unequal_pairs_are_not_asked_about() -> None:
    row = {"iscrowd": False, "y": 0.0, "h": 10.0, "w": 10.0}
    boxes = [row | {"box_id": n, "x": x} for n, x in enumerate((0.0, 12.0, 30.0))]
    boxes.append(row | {"box_id": 3, "x": 0.0, "w": 0.5, "h": 0.5})
    boxes.append(row | {"box_id": 4, "x": 0.0, "iscrowd": True})
    account = Account()
    assert Worth(0.5, 100.0, 30).choose(boxes, account) == [(0, 1)]
    assert account.result({}).notes == {"pairs_not_asked": 5}
    assert Worth(5.0, 1000.0, 2).choose(boxes, account) == [(0, 1)]  # the largest, by id


@given(st.sets(st.tuples(st.integers(0, 15), st.integers(0, 15)).filter(lambda p: p[0] < p[1])))
def test_groups_are_small_and_cover_every_pair(pairs: set[tuple[int, int]]) -> None:
    groups = group_pairs(sorted(pairs), 6)
    assert all(len(group) <= 6 for group in groups)
    for pair in pairs:
        assert any(set(pair) <= set(group) for group in groups)


def test_a_pair_that_was_not_asked_about_is_left_out() -> None:
    boxes = {"a": [("person", 0, 0, 20, 20), ("dog", 15, 0, 20, 20), ("cat", 38, 0, 20, 20)]}
    result, _ = propose(lambda one: relations((1, "near", 3), (1, "near", 2)), boxes=boxes, near=0.2)
    assert [row[1:4] for row in found(result)] == [(0, "near", 1)]
    assert result.notes["relations_dropped"] == {"pair_not_asked": 2}
