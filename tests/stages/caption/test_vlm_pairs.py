"""Captions about pairs: asked one by one, and matched to that pair and no other."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS, conform, empty
from relforge.vlm.client import Answer
from tests.fixtures.vlm import GivenAnswers
from tests.fixtures.vlm_stages import answered_by, shard

# two people, each with a dog of its own
BOXES = {
    "a": [
        ("dog", 5, 50, 20, 20),
        ("person", 5, 5, 20, 40),
        ("person", 60, 5, 20, 40),
        ("dog", 60, 50, 20, 20),
    ],
    "b": [("person", 5, 5, 30, 60)],
}


def caption(answer: Any, broken: tuple[str, ...] = (), **options: Any) -> Any:
    given: dict[str, Any] = {"endpoint": "http://127.0.0.1:1/v1", "model": "some/captioner"}
    stage = build("caption", "vlm_pairs", **given | {"near": 0.3} | options)
    client = GivenAnswers(answer)
    return answered_by(stage, client).process(shard(BOXES, broken)), client


def test_each_pair_near_each_other_is_asked_about_with_the_person_first() -> None:
    result, client = caption(lambda one: f"A person with a dog {one.request_id}.")
    assert [row["text"] for row in result.tables["captions"].to_pylist()] == [
        "A person with a dog 1-0-0.",
        "A person with a dog 2-3-0.",
    ]
    regions = result.tables["regions"].to_pylist()
    assert [(r["subject_box"], r["object_box"], r["caption_ids"], r["kind"]) for r in regions] == [
        (1, 0, [0], "asked"),
        (2, 3, [1], "asked"),
    ]
    assert (regions[0]["x"], regions[0]["y"], regions[0]["w"], regions[0]["h"]) == (5, 5, 20, 65)
    assert (result.kept, result.dropped) == (1, {"no_pair": 1})
    assert "the person at the top and the dog at the bottom" in client.asked[0].text
    answers = result.tables["caption_answers"].to_pylist()
    assert [(row["subject_box"], row["object_box"], row["role"]) for row in answers] == [
        (1, 0, "caption_pair"),
        (2, 3, "caption_pair"),
    ]


def test_an_image_without_an_answer_is_set_aside_and_without_a_sound_one_dropped() -> None:
    result, _ = caption(lambda one: "I'm sorry, I can't help.")
    assert [one.reason for one in result.quarantined] == ["refused"]
    result, _ = caption(lambda one: "dog dog dog dog dog dog")
    assert result.dropped == {"no_sound_caption": 1, "no_pair": 1}
    result, _ = caption(lambda one: Answer(" \n "))
    assert len(result.quarantined) == 1
    result, _ = caption(lambda one: "A person walks a dog.", broken=("a",))
    assert [one.reason for one in result.quarantined] == ["not_an_image"]


def test_captions_keep_their_numbers_where_one_is_left_out() -> None:
    result, _ = caption(
        lambda one: "dog dog dog dog dog dog" if one.sample == 0 else "A person walks a dog.",
        captions=2,
        temperature=1.0,
    )
    assert result.tables["captions"]["caption_id"].to_pylist() == [1, 3]
    assert [row["caption_ids"] for row in result.tables["regions"].to_pylist()] == [[1], [3]]


def triplet(caption_id: int, subject: str, predicate: str, object: str) -> dict[str, Any]:
    row: dict[str, Any] = {"image_id": "a", "caption_id": caption_id, "triplet_id": 0, "parser": "p"}
    for end, text in (("subject", subject), ("object", object)):
        row |= {end: text, f"{end}_head": text, f"{end}_lemma": text}
    return row | {"predicate": predicate, "predicate_lemma": predicate}


@pytest.mark.parametrize(("known", "pairs"), [(True, {(1, 0)}), (False, {(1, 0), (1, 3), (2, 0), (2, 3)})])
def test_matching_relates_the_asked_pair_alone(known: bool, pairs: set[tuple[int, int]]) -> None:
    made, _ = caption(lambda one: "A person walks a dog.")
    rows = [triplet(0, "person", "walking", "dog"), triplet(1, "dog", "behind", "person")]
    tables = shard(BOXES) | made.tables | {"classes": empty("classes")}
    tables["triplets"] = conform("triplets", pa.Table.from_pylist(rows, SCHEMAS["triplets"]))
    stage = build("match", "synonyms", **({"known_pairs": True} if known else {}))
    stage.setup()
    result = stage.process(tables)
    found = result.tables["candidates"].to_pylist()
    walking = {(r["subject_box"], r["object_box"]) for r in found if r["predicate"] == "walking"}
    assert walking == pairs
    assert result.kept == 2
    if known:
        assert [(r["subject_box"], r["predicate"], r["object_box"], r["rule"]) for r in found] == [
            (1, "walking", 0, "asked"),
            (3, "behind", 2, "asked"),
        ]
        assert [row["claim_id"] for row in found] == [0, 1]
        assert {row["image_id"] for row in found} == {"a"}


def test_two_boxes_of_one_class_are_related_both_ways() -> None:
    boxes = {"a": [("person", 5, 5, 30, 60), ("person", 36, 5, 30, 60)]}
    stage = build("caption", "vlm_pairs", endpoint="http://127.0.0.1:1/v1", model="m")
    made = answered_by(stage, GivenAnswers(lambda one: "A person hugs a person.")).process(shard(boxes))
    tables = shard(boxes) | made.tables | {"classes": empty("classes")}
    row = triplet(0, "person", "hugging", "person")
    tables["triplets"] = conform("triplets", pa.Table.from_pylist([row], SCHEMAS["triplets"]))
    match = build("match", "synonyms", known_pairs=True)
    match.setup()
    found = match.process(tables).tables["candidates"].to_pylist()
    assert [(r["subject_box"], r["object_box"], r["alternatives"]) for r in found] == [(0, 1, 2), (1, 0, 2)]


def test_what_it_will_ask_were_all_boxes_near_each_other() -> None:
    given: dict[str, Any] = {"endpoint": "http://127.0.0.1:1/v1", "model": "some/captioner"}
    given |= {"price": {"input": 1.0, "output": 10.0}}
    made: Any = build("caption", "vlm_pairs", **given)

    found = made.foresee({"images": 100, "boxes": 400})  # 4 boxes: 6 pairs
    assert found.requests == 600
    assert found.input_tokens == 600 * (16**2 + len(made.prompt.text) // 4)  # 448 pixels
    assert found.output_tokens == 600 * 48
    assert found.cost == pytest.approx((found.input_tokens + 10 * found.output_tokens) / 1e6)
    few: Any = build("caption", "vlm_pairs", max_boxes=2, captions=3, temperature=1.0, **given)
    assert few.foresee({"images": 100, "boxes": 400}).requests == 300
    assert made.foresee({"images": 100}) is None
    assert made.foresee({"images": 100, "boxes": 80}).requests == 0
