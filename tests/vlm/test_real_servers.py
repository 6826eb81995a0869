"""What real servers honour, as the client finds it: `transformers serve` in this process, and a llama.cpp
server where `RELFORGE_LLAMA_SERVER` has the URL of one (any vision model, e.g. http://127.0.0.1:8080/v1)."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from relforge.vlm.append import open_folder
from relforge.vlm.budget import Ledger, Price
from relforge.vlm.cache import Cache
from relforge.vlm.cached import CachedClient
from relforge.vlm.client import Request, Sampling, View, VlmError
from relforge.vlm.endpoint import Endpoint
from relforge.vlm.probe import Wanted
from tests.fixtures.vlm_servers import Faults, listening

pytest.importorskip("openai", reason="pip install 'relforge[vlm]'")

pytestmark = pytest.mark.slow  # the server takes some ten seconds to start

SAMPLING = Sampling(temperature=1.0, max_tokens=12)


class Server(NamedTuple):
    """A server, and the notes that the client takes of it."""

    url: str
    model: str
    notes: dict[str, Any]


@pytest.fixture(scope="session")
def transformers_server(llava: Path) -> Iterator[Server]:
    for package in ("fastapi", "uvicorn", "accelerate"):
        pytest.importorskip(package, reason="pip install 'transformers[serving]'")
    from transformers.cli.serve import Serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = Serve(
        force_model=str(llava),
        host="127.0.0.1",
        port=port,
        device="cpu",
        log_level="error",
        non_blocking=True,
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield Server(
            f"http://127.0.0.1:{port}/v1", str(llava), {"logprobs": False, "seed": True, "schema": "prompt"}
        )
    finally:
        serve.kill_server()


@pytest.fixture(scope="session", params=["transformers", "llama.cpp"])
def vlm_server(request: pytest.FixtureRequest) -> Server:
    if request.param == "transformers":
        found: Server = request.getfixturevalue("transformers_server")
        return found
    url = os.environ.get("RELFORGE_LLAMA_SERVER")
    if not url:
        pytest.skip("start llama-server with a vision model and set RELFORGE_LLAMA_SERVER to its URL")
    return Server(url, "any", {"logprobs": True, "seed": True, "schema": "server"})


def client(server: Server, **options: Any) -> Endpoint:
    made = Endpoint(server.url, server.model, Ledger("caption", Price()), **options)
    made.setup()
    return made


def requests(count: int, **fields: Any) -> Iterator[Request]:
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (56, 56, 3), np.uint8)
        view = View(pixels, f"{number}", {"view": "plain"})
        yield Request(f"{number}", "0", "caption", [view], "user image", sampling=SAMPLING, **fields)


def texts(asked: Any, count: int) -> dict[str, str]:
    return {request.image_id: answer.text for request, answer in asked.ask(requests(count))}


def test_what_the_server_honours_is_found(vlm_server: Server) -> None:
    assert client(vlm_server, wanted=Wanted(json=True)).notes() == vlm_server.notes


def test_every_answer_has_its_tokens_counted(vlm_server: Server) -> None:
    for _, answer in client(vlm_server).ask(requests(3)):
        assert answer.verdict == "ok"
        assert answer.usage is not None
        assert answer.usage.input_tokens > 10
        assert 0 < answer.usage.output_tokens <= SAMPLING.max_tokens
        assert answer.finish_reason in ("stop", "length")
        assert answer.model_reported


def test_probabilities_are_given_or_refused_with_what_to_choose(vlm_server: Server) -> None:
    if not vlm_server.notes["logprobs"]:
        with pytest.raises(VlmError, match=r"gives no probabilities of tokens .* choose score: sample"):
            client(vlm_server, wanted=Wanted(words="logprobs"))
        return
    asked = client(vlm_server, wanted=Wanted(words="logprobs"))
    for _, answer in asked.ask(requests(2, words=("Yes", "yes", "No", "no"))):
        assert 0 < sum(answer.words.values()) <= 4


def test_transformers_serve_gives_the_probability_of_yes(transformers_server: Server) -> None:
    asked = client(transformers_server, wanted=Wanted(words="systemone"))
    found = {
        request.image_id: answer
        for request, answer in asked.ask(requests(4, words=("Yes", "yes", "No", "no")))
    }
    assert len(found) == 4
    for answer in found.values():
        assert answer.verdict == "ok"
        assert answer.words["Yes"] + answer.words["No"] == pytest.approx(1)
    again = {
        request.image_id: answer.words
        for request, answer in asked.ask(requests(4, words=("Yes", "yes", "No", "no")))
    }
    assert again == {image: answer.words for image, answer in found.items()}


def test_a_schema_that_transformers_serve_would_ignore_is_refused(transformers_server: Server) -> None:
    with pytest.raises(VlmError, match="does not enforce a JSON schema; choose schema: auto"):
        client(transformers_server, wanted=Wanted(json=True), schema="server")


def test_a_model_that_the_server_does_not_have_is_named(transformers_server: Server) -> None:
    other = transformers_server._replace(model="nobody/has-it")
    with pytest.raises(VlmError, match=r"answers 40[04]: "):
        client(other)


def test_a_seed_reproduces_little_and_the_cache_all(transformers_server: Server, tmp_path: Path) -> None:
    def cached(**options: Any) -> CachedClient:
        ledger = Ledger("caption", Price())
        endpoint = Endpoint(transformers_server.url, transformers_server.model, ledger, in_flight=8)
        cache = Cache(open_folder(str(tmp_path / "cache")), "caption")
        made = CachedClient(endpoint, cache, ledger, model=transformers_server.model, **options)
        made.setup()
        return made

    first = texts(cached(), 12)
    assert texts(client(transformers_server, in_flight=8), 12) != first
    assert texts(cached(cache_only=True), 12) == first


def test_a_real_server_behind_a_bad_network(transformers_server: Server) -> None:
    port = int(transformers_server.url.rpartition(":")[2].removesuffix("/v1"))
    faults: dict[int, Any] = {
        6: "drop",
        7: "cut",
        9: (429, {"retry-after": "0"}),
        10: (500, {}),
        11: (500, {}),
    }
    plan = Faults(port, lambda number: faults.get(number))
    with listening(plan.handle) as proxy:
        other = transformers_server._replace(url=f"http://127.0.0.1:{proxy}/v1")
        found = list(client(other, in_flight=2, first_wait=0.01).ask(requests(6)))
    assert [answer.verdict for _, answer in found] == ["ok"] * 6
    assert plan.count > 14
