"""The client of an endpoint: answers, faults, limits; against a server of ours that does as it is told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relforge.vlm.budget import Ledger, Price
from relforge.vlm.client import Request, Sampling, VlmError
from relforge.vlm.endpoint import Endpoint
from relforge.vlm.probe import Wanted
from tests.fixtures.vlm import view
from tests.fixtures.vlm_servers import Faults, Reply, Scripted, completion, images_of, listening, say

pytest.importorskip("openai", reason="pip install 'relforge[vlm]'")


def client(port: int, **options: Any) -> Endpoint:
    options = {"first_wait": 0.01, "retries": 3} | options
    made = Endpoint(f"http://127.0.0.1:{port}/v1", "tiny", Ledger("caption", Price()), **options)
    made.setup()
    return made


def requests(count: int, **fields: Any) -> Iterator[Request]:
    for number in range(count):
        yield Request(f"{number}", "0", "caption", [view(number % 200)], f"What is this, {number}?", **fields)


def texts(port: int, count: int = 12, **options: Any) -> dict[str, str]:
    return {request.image_id: answer.text for request, answer in client(port, **options).ask(requests(count))}


def error(status: int, message: str = "", **fields: Any) -> Reply:
    return status, {}, json.dumps({"error": {"message": message, **fields}}).encode()


def only_questions(reply: Callable[[dict[str, Any]], dict[str, Any] | Reply]) -> Scripted:
    """A server that answers the probe, and questions by `reply`."""
    return Scripted(lambda body: reply(body) if "What is this" in json.dumps(body) else say(body))


def test_answers_do_not_depend_on_how_many_are_on_their_way() -> None:
    with listening(Scripted().handle) as port:
        found = [texts(port, in_flight=count) for count in (1, 4, 16)]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0].values())) == 12


def test_so_many_requests_are_on_their_way_and_twice_as_many_images_in_memory() -> None:
    server = Scripted(seconds=0.03)
    taken, answered, most = 0, 0, 0

    def counted() -> Iterator[Request]:
        nonlocal taken, most
        for request in requests(30):
            taken += 1
            most = max(most, taken - answered)
            yield request

    with listening(server.handle) as port:
        for _ in client(port, in_flight=4).ask(counted()):
            answered += 1
    assert server.peak == 4
    assert answered == 30
    assert most <= 8


def test_what_is_sent_is_a_jpeg_in_the_body_and_the_question_last() -> None:
    server = Scripted()
    with listening(server.handle) as port:
        list(client(port).ask(requests(1, system="Be short.", sampling=Sampling(0.5, 0.9, 33))))
    body = server.asked[-1]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    image, text = body["messages"][1]["content"]
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
    assert text == {"type": "text", "text": "What is this, 0?"}
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 0.9, 33)
    assert 0 <= body["seed"] < 2**31


def test_probabilities_of_words_are_read_with_their_spaces_off() -> None:
    words = ("Yes", "yes", "No", "no")
    with listening(Scripted().handle) as port:
        asked = client(port, wanted=Wanted(words="logprobs"))
        ((_, answer),) = asked.ask(requests(1, words=words))
    shares = {word: round(share, 3) for word, share in answer.words.items()}
    # what is not listed has at most the smallest that is
    assert shares == {"Yes": 0.607, "yes": 0.223, "No": 0.223, "no": 0.223}
    assert answer.logprob == -0.5
    assert answer.usage == (36, 5)
    assert answer.model_reported == "scripted-1"


@pytest.mark.parametrize(
    "fault",
    ["drop", "cut", (429, {"retry-after": "0"}), (500, {}), (503, {}), (408, {}), (409, {}), (425, {})],
)
def test_a_passing_fault_changes_no_answer(fault: str | tuple[int, dict[str, str]]) -> None:
    with listening(Scripted().handle) as port:
        undisturbed = texts(port)
        with listening(Faults(port, lambda number: fault if number in (6, 7, 12) else None).handle) as proxy:
            disturbed = texts(proxy, in_flight=2)
    assert disturbed == undisturbed


def test_the_server_says_how_long_to_wait() -> None:
    with listening(Scripted().handle) as port:
        plan = Faults(port, lambda number: (429, {"retry-after": "0.7"}) if number == 5 else None)
        with listening(plan.handle) as proxy:
            begun = time.monotonic()
            assert len(texts(proxy, 4)) == 4
            assert time.monotonic() - begun > 0.7


def test_too_many_requests_halve_those_on_their_way() -> None:
    with listening(Scripted().handle) as port:
        plan = Faults(port, lambda number: (429, {"retry-after": "0"}) if number == 5 else None)
        with listening(plan.handle) as proxy:
            asked = client(proxy, in_flight=8)
            list(asked.ask(requests(20)))
    assert asked._gate.allowed == 4


def test_an_outage_is_transient() -> None:
    from relforge.pipeline.run.failure import is_transient

    with listening(Scripted().handle) as port:
        plan = Faults(port, lambda number: (503, {}) if number > 6 else None)
        sentence = r"does not answer \(status 503, 4 times in a row\)"
        with listening(plan.handle) as proxy, pytest.raises(ConnectionError, match=sentence) as one:
            texts(proxy)
    assert is_transient(one.value)
    assert one.value.__cause__ is None


def test_a_port_where_nobody_listens_is_transient() -> None:
    with pytest.raises(ConnectionError, match="no connection or no answer"):
        client(9, retries=0)


def test_a_server_that_takes_too_long_is_transient() -> None:
    with listening(Scripted(seconds=5).handle) as port, pytest.raises(ConnectionError):
        client(port, timeout_s=0.1, retries=0)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (error(400, "the image cannot be decoded"), "request_refused"),
        (error(413), "request_refused"),
        (error(400, "This model's maximum context length is 4096 tokens"), "too_long"),
        (error(400, "filtered", code="content_filter"), "refused"),
        (error(500, "boom"), "server_error"),
        (completion("", finish_reason="content_filter"), "refused"),
        (completion("", message={"role": "assistant", "content": None, "refusal": "I won't"}), "refused"),
        (completion("a dog"), "ok"),
    ],
)
def test_what_one_image_comes_to(reply: Reply | dict[str, Any], verdict: str) -> None:
    """While the server answers others, what it does to one request is that request's."""
    with listening(only_questions(lambda body: reply).handle) as port:
        ((_, answer),) = client(port).ask(requests(1))
    assert answer.verdict == verdict


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (error(401), "answers 401: the key is refused; set the variable that api_key_env names"),
        (error(403), "answers 403: the key is refused"),
        (error(404), "answers 404: no such model or path; check model, and that endpoint ends in /v1"),
        (error(400, "unsupported", param="temperature"), "answers 400: it does not take temperature"),
        (
            (422, {}, json.dumps({"detail": [{"loc": ["body", "seed"], "msg": "extra"}]}).encode()),
            "answers 422: it does not take seed",
        ),
        ((307, {"location": "http://192.0.2.1/v1"}, b""), "answers 307: it redirects, which is not followed"),
        (error(429, code="insufficient_quota"), "answers 429: the account has no credit left"),
    ],
)
def test_what_stops_the_run(reply: Reply, sentence: str) -> None:
    with listening(Scripted(lambda body: reply).handle) as port, pytest.raises(VlmError) as one:
        client(port)
    assert str(one.value).startswith(f"127.0.0.1:{port} {sentence}")


def test_a_text_without_control_characters_and_of_a_length() -> None:
    long = only_questions(lambda body: completion("a\x00 \x1b[31mdog\x85\n" + "x" * 100_000))
    with listening(long.handle) as port:
        ((_, answer),) = client(port).ask(requests(1))
    assert answer.text.startswith("a [31mdog\n")
    assert len(answer.text) == 65_536


def without(*fields: str, status: int = 400) -> Scripted:
    """A server that refuses fields, by name."""

    def answer(body: dict[str, Any]) -> dict[str, Any] | Reply:
        for one in fields:
            if one in body:
                return error(status, f"Unsupported parameter: '{one}'", param=one)
        return say(body)

    return Scripted(answer)


def test_the_other_name_of_the_limit_of_tokens_is_found() -> None:
    server = without("max_tokens", "logprobs")
    with listening(server.handle) as port:
        asked = client(port)
        list(asked.ask(requests(1)))
    assert server.asked[-1]["max_completion_tokens"] == 64
    assert asked.notes() == {"logprobs": False, "seed": True}


def test_a_server_that_gives_no_probabilities_is_refused_where_they_are_wanted() -> None:
    silent = Scripted(lambda body: say({**body, "logprobs": False}))  # 200, and nothing of it
    for server in (silent, without("logprobs")):
        with listening(server.handle) as port, pytest.raises(VlmError, match="choose score: sample"):
            client(port, wanted=Wanted(words="logprobs"))


@pytest.mark.parametrize(("schema", "noted"), [("auto", "prompt"), ("prompt", "prompt")])
def test_a_schema_that_the_server_ignores_is_noted(schema: str, noted: str) -> None:
    server = Scripted()
    with listening(server.handle) as port:
        asked = client(port, wanted=Wanted(json=True), schema=schema)
        assert asked.notes()["schema"] == noted
        list(asked.ask(requests(1, schema={"type": "object"})))
    assert "response_format" not in server.asked[-1]


def test_a_schema_that_the_server_has_to_enforce_and_does_not_is_refused() -> None:
    with listening(Scripted().handle) as port, pytest.raises(VlmError, match="choose schema: auto"):
        client(port, wanted=Wanted(json=True), schema="server")


def test_a_schema_that_the_server_enforces_is_sent() -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        return completion('{"answer": "no"}') if "response_format" in body else say(body)

    server = Scripted(answer)
    with listening(server.handle) as port:
        asked = client(port, wanted=Wanted(json=True))
        assert asked.notes()["schema"] == "server"
        list(asked.ask(requests(1, schema={"type": "object"})))
    assert server.asked[-1]["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_a_model_that_does_not_look_at_images_is_refused() -> None:
    blind = Scripted(lambda body: completion("yes"))
    with listening(blind.handle) as port, pytest.raises(VlmError, match="does not look at them"):
        client(port)
    refusing = Scripted(lambda body: error(400, "no image support") if images_of(body) else say(body))
    with listening(refusing.handle) as port, pytest.raises(VlmError, match="a model that reads images"):
        client(port)


def test_requests_and_tokens_a_minute() -> None:
    server = Scripted()
    with listening(server.handle) as port:
        asked = client(port, requests_per_minute=600)
        begun = time.monotonic()
        list(asked.ask(requests(103)))
        assert time.monotonic() - begun > 0.3  # 100 at once, then 10 a second


def test_a_key_is_sent_and_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLM_TEST_KEY", "sk-very-secret")
    server = Scripted(lambda body: error(401, "Incorrect API key provided: sk-very-secret"))
    with listening(server.handle) as port, pytest.raises(VlmError) as one:
        client(port, api_key_env="VLM_TEST_KEY")
    assert server.headers[0]["authorization"] == "Bearer sk-very-secret"
    assert "sk-very" not in str(one.value)


def test_a_key_that_is_not_set_is_named() -> None:
    with pytest.raises(VlmError, match="api_key_env names VLM_NO_KEY, which is not set"):
        client(9, api_key_env="VLM_NO_KEY")


def test_a_reader_that_stops_leaves_no_request_behind() -> None:
    server = Scripted(seconds=0.2)
    with listening(server.handle) as port:
        stream = client(port, in_flight=2).ask(requests(50))
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        sent = len(server.asked)
        time.sleep(0.5)
        assert len(server.asked) <= sent + 2  # those in flight may still arrive
