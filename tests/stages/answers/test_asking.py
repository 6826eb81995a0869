"""A shard's requests: every one answered once, a second time where that may help, whatever the order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from relforge.stages.answers.asking import AGAIN, Asking, Finding
from relforge.vlm.client import Answer, Request, Sampling, Usage
from tests.fixtures.vlm import GivenAnswers, view


def requests(count: int = 6, **fields: object) -> Iterator[Request]:
    for number in range(count):
        one = Request(f"image{number // 2}", f"{number % 2}", "caption", [view(number)], "What is this?")
        yield replace(one, **fields)  # type: ignore[arg-type]


def asking(client: GivenAnswers) -> Asking:
    return Asking(client, "tiny", 7, {"p0": "What is this?"})


def test_the_table_does_not_depend_on_the_order_of_arrival() -> None:
    tables = [
        asking(GivenAnswers(lambda one: f"{one.image_id} {one.request_id}", ahead, order))
        .ask(requests())
        .table()
        for ahead, order in ((1, 0), (4, 1), (16, 2))
    ]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert tables[0]["text"].to_pylist() == [f"image{i // 2} {i % 2}" for i in range(6)]
    assert len(set(tables[0]["seed"].to_pylist())) == 6


def test_an_answer_that_is_cut_off_is_asked_for_with_twice_the_tokens_once() -> None:
    client = GivenAnswers(lambda one: Answer("  ", "length"))
    answers = asking(client).ask(requests(1, sampling=Sampling(max_tokens=8)))
    assert [one.sampling.max_tokens for one in client.asked] == [8, 16]
    assert answers.of("image0", "0").finding.verdict == "truncated"
    assert answers.table()["request_id"].to_pylist() == ["0", "0~more"]
    assert answers.notes()["answers"] == {"truncated": 2}


def test_the_second_answer_counts() -> None:
    client = GivenAnswers(lambda one: "{}" if one.sample >= AGAIN else "none")
    answers = asking(client).ask(
        requests(2), lambda _, given: Finding("ok" if given.text == "{}" else "invalid_json")
    )
    assert answers.of("image0", "0").finding.verdict == "ok"
    assert answers.of("image0", "0").request.sample == AGAIN
    assert answers.table()["verdict"].to_pylist() == ["invalid_json", "ok"] * 2


@pytest.mark.parametrize("text", ["I'm sorry, but I cannot help with that.", "I cannot see any person here."])
def test_a_refusal_is_no_answer(text: str) -> None:
    answers = asking(GivenAnswers(lambda one: text)).ask(requests(1))
    assert answers.of("image0", "0").finding.verdict == "refused"


def test_what_the_client_says_of_a_request_stands() -> None:
    refused = Answer("", "", verdict="request_refused", detail="the server takes no such image")
    answers = asking(GivenAnswers(lambda one: refused)).ask(requests(1), lambda *_: Finding())
    assert answers.of("image0", "0").finding == Finding("request_refused", "the server takes no such image")


def test_notes_count_tokens_and_verdicts() -> None:
    client = GivenAnswers(lambda one: Answer("a dog", usage=Usage(10, 2), model_reported="tiny-1"))
    notes = asking(client).ask(requests()).notes()
    assert notes == {
        "answers": {"ok": 6},
        "tokens": {"input": 60, "output": 12, "uncounted_answers": 0},
        "prompts": {"p0": "What is this?"},
        "models_reported": ["tiny-1"],
        "client": {},
    }


def test_two_requests_of_one_id_are_refused() -> None:
    twice = [next(requests()), next(requests())]
    with pytest.raises(RuntimeError, match="two requests have the id '0'"):
        asking(GivenAnswers(lambda one: "a dog")).ask(twice)
