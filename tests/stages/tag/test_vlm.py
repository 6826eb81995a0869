"""The judge: what it is asked, what becomes of candidates, what p is."""

from __future__ import annotations

from typing import Any

import pytest

from relforge.stages.registry import build
from relforge.vlm.client import Answer, Request
from tests.fixtures.vlm import GivenAnswers
from tests.fixtures.vlm_stages import answered_by, candidates, shard

BOXES = {
    "a": [("person", 5, 5, 30, 60), ("horse", 40, 20, 50, 50), ("hat", 10, 0, 10, 8)],
    "b": [("person", 5, 5, 30, 60), ("person", 50, 5, 30, 60)],
}
RELATIONS = [("a", 0, 1, "riding"), ("a", 0, 1, "near"), ("a", 2, 0, "on"), ("b", 0, 1, "hugging")]


def says(p_yes: float, mass: float = 1.0) -> Answer:
    return Answer(
        "Yes", "length", words={"Yes": p_yes * mass, "yes": 0.0, "No": (1 - p_yes) * mass, "no": 0.0}
    )


def judge(answer: Any, broken: tuple[str, ...] = (), relations: Any = RELATIONS, **options: Any) -> Any:
    given: dict[str, Any] = {"endpoint": "http://127.0.0.1:1/v1", "model": "some/judge", "floor": 0.0}
    stage = build("tag", "vlm", **given | options)
    client = GivenAnswers(answer)
    tables = shard(BOXES, broken) | {"candidates": candidates(*relations)}
    return answered_by(stage, client).process(tables), client


def scores(result: Any) -> dict[tuple[str, int, int, str], float]:
    keys = ("image_id", "subject_box", "object_box", "predicate")
    return {tuple(row[k] for k in keys): row["score"] for row in result.tables["scores"].to_pylist()}


def test_each_candidate_is_asked_about_by_one_question_on_its_pair() -> None:
    result, client = judge(lambda one: says(0.25 if "riding" in one.text else 0.75))
    assert scores(result) == {key: 0.25 if key[3] == "riding" else 0.75 for key in RELATIONS}
    assert result.kept == 4
    texts = {one.text for one in client.asked}
    assert (
        "Does the image show this: the person on the left riding the horse on the right? Answer yes or no."
        in texts
    )
    assert {one.views[0].recipe["view"] for one in client.asked} == {"blur"}
    tagger = set(result.tables["scores"]["tagger"].to_pylist())
    assert len(tagger) == 1
    assert tagger.pop().startswith("vlm:some/judge@")
    # questions about one pair share their view, and follow one another
    first, second, *_ = client.asked
    assert first.views[0] is second.views[0]
    assert {one.sampling.max_tokens for one in client.asked} == {2}


def test_answers_are_kept_with_p_and_mass() -> None:
    result, _ = judge(lambda one: says(0.25, mass=0.8))
    rows = result.tables["tag_answers"].to_pylist()
    assert [(row["p_yes"], row["p_mass"]) for row in rows] == [(0.25, pytest.approx(0.8))] * 4
    assert rows[0]["predicate"] == "near"
    assert result.notes["answers"] == {"ok": 4}


def test_an_answer_that_is_neither_yes_nor_no_is_off_topic() -> None:
    result, _ = judge(lambda one: says(0.9, mass=0.4 if "riding" in one.text else 0.9))
    assert result.kept == 3
    assert result.dropped == {"off_topic": 1}
    result, _ = judge(lambda one: says(0.9, mass=0.01), min_mass=0.0)
    assert result.kept == 4


def test_scores_at_the_floor_are_counted_and_not_written() -> None:
    result, _ = judge(lambda one: says(0.3 if "riding" in one.text else 0.5), floor=0.3)
    assert (result.kept, result.dropped) == (3, {"below_floor": 1})


def test_a_candidate_that_is_not_answered_about_is_set_aside_under_the_reason() -> None:
    refused = Answer("", "", verdict="request_refused", detail="the server takes no such image")
    result, _ = judge(lambda one: refused if "riding" in one.text else says(0.5))
    [lost] = result.quarantined
    assert (lost.reason, lost.record["predicate"]) == ("request_refused", "riding")
    assert result.kept == 3


def test_an_image_that_cannot_be_read_goes_with_its_candidates() -> None:
    result, client = judge(lambda one: says(0.5), broken=("a",))
    assert [one.reason for one in result.quarantined] == ["not_an_image"] * 3
    assert result.kept == 1
    assert {one.image_id for one in client.asked} == {"b"}


def test_a_relation_that_is_likelier_the_other_way_round_loses_the_difference() -> None:
    given = {"person on the left riding": 0.4, "horse on the right riding": 0.7}

    def answer(one: Request) -> Answer:
        return says(next((p for text, p in given.items() if text in one.text), 0.6))

    result, client = judge(answer, swap=True)
    assert len(client.asked) == 8
    assert scores(result)["a", 0, 1, "riding"] == pytest.approx(0.1)  # 0.4 - (0.7 - 0.4)
    assert scores(result)["b", 0, 1, "hugging"] == pytest.approx(0.6)  # both ways


def test_samples_vote() -> None:
    def answer(one: Request) -> str:
        return ("Yes", "no.", "Yes, it does", "perhaps")[one.sample]

    result, client = judge(answer, score="sample", samples=4, temperature=1.0)
    assert all(one == pytest.approx(2 / 3) for one in scores(result).values())
    assert len(client.asked) == 16
    assert not client.asked[0].words


def test_likelihood_is_the_share_among_the_statements_about_the_pair() -> None:
    logprobs = {
        "a person riding a horse": -2.0,
        "a person near a horse": -3.0,
        "a horse riding a person": -2.0,
    }

    def answer(one: Request) -> Answer:
        return Answer(one.text, logprob=logprobs.get(one.text, -9.0))

    riding = [("a", 0, 1, "riding")]
    options: dict[str, Any] = {"score": "likelihood", "endpoint": None, "model": "demo/weights/blip"}
    result, client = judge(answer, relations=riding, against=["near", "riding"], **options)
    assert scores(result) == {riding[0]: pytest.approx(1 / (1 + 2.718281828**-1))}
    assert len(client.asked) == 2
    result, _ = judge(answer, relations=riding, against=["near", "riding"], swap=True, **options)
    assert scores(result) == {riding[0]: pytest.approx(1 / (2 + 2.718281828**-1))}


def test_what_a_likelihood_will_take_is_texts_alone() -> None:
    options: dict[str, Any] = {"score": "likelihood", "model": "demo/weights/blip"}
    made: Any = build("tag", "vlm", against=["near", "under", "on"], swap=True, **options)

    found = made.foresee({"candidates": 50})
    assert found.requests == 50 * 2 * 4
    assert found.input_tokens == found.requests * (len(made.judging.prompt.text) // 4)
    assert (found.output_tokens, found.cost) == (0, None)
    assert made.foresee({"images": 50}) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "maybe"}, "score is 'maybe'; choose one of logprobs"),
        ({"view": "ellipse"}, "view is 'ellipse'"),
        ({"coordinates": "feet"}, "coordinates is 'feet'"),
        ({"margin": -1}, "margin is -1"),
        ({"floor": 1}, "floor is 1"),
        ({"samples": 3}, "samples is 3"),
        ({"samples": 3, "score": "sample"}, "temperature is 0"),
        ({"score": "likelihood"}, "go together"),
        ({"against": "on"}, r"e.g. \[on\]"),
        ({"prompt": "propose/1"}, "no place of a judge prompt"),
        ({"min_mass": 2}, "min_mass is 2"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("tag", "vlm", endpoint="http://127.0.0.1:1/v1", model="m", **options)
