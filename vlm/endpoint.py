"""A client of any OpenAI-compatible endpoint: vLLM, SGLang, llama.cpp, Ollama, `transformers serve`, ..."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from relforge.redaction import hide
from relforge.vlm.budget import Ledger
from relforge.vlm.client import Answer, Request, VlmError
from relforge.vlm.hosts import check_allowed, host_of
from relforge.vlm.probe import Refused, Wanted, probe, to_notes
from relforge.vlm.pump import Pump
from relforge.vlm.rates import Bucket, Gate
from relforge.vlm.refusals import CONTENT, STOP, Refusal, read_refusal
from relforge.vlm.seed import derive_seed
from relforge.vlm.wire import Honoured, from_chat, from_systemone, to_chat, to_systemone

_FIRST_WAIT, _MAX_WAIT = 0.5, 60.0
"""Seconds between attempts, doubled each time, where the server does not say how long."""
_FAULTS = 3
"""500s to one request after which it is the request's fault, if the server answers another one."""
_IMAGE_TOKENS = 500
"""Guess for the limit of tokens a minute, until the server has counted some."""


class Endpoint:
    """Args:
    url: of the API, ending in /v1.
    model: as asked for.
    ledger: told of attempts and of what looking at the server costs.
    wanted: what the stage wants of the server.
    seed: of the run.
    schema: `auto`, `server` or `prompt`: who sees to it that an answer follows a schema.
    api_key_env: name of the environment variable that holds the key; None: none is sent.
    send_images: where the server may be, see `hosts.SEND_IMAGES`.
    in_flight: requests on their way at once.
    requests_per_minute, tokens_per_minute: of this worker; None: no limit.
    timeout_s: of one attempt, in seconds.
    retries: attempts after the first.
    first_wait: seconds before the second attempt.
    """

    def __init__(
        self,
        url: str,
        model: str,
        ledger: Ledger,
        *,
        wanted: Wanted | None = None,
        seed: int = 0,
        schema: str = "auto",
        api_key_env: str | None = None,
        send_images: str = "loopback",
        in_flight: int = 8,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        timeout_s: float = 120.0,
        retries: int = 5,
        first_wait: float = _FIRST_WAIT,
    ) -> None:
        self._url, self._model, self._ledger = url.rstrip("/"), model, ledger
        self._wanted, self._seed, self._schema = wanted or Wanted(), seed, schema
        self._key_name, self._send_images = api_key_env, send_images
        self._in_flight, self._timeout, self._retries = in_flight, timeout_s, retries
        self._limits = requests_per_minute, tokens_per_minute
        self._first_wait = first_wait
        self._host = host_of(url)
        self._honoured = Honoured()
        self._pump: Pump | None = None
        self._client: Any = None
        self._mean_tokens = 0.0

    def files(self) -> Sequence[str]:
        return ()

    def setup(self) -> None:
        """Look what the server really honours.

        Raises:
            VlmError: no key, an address that images may not go to, or a server that cannot do what is wanted.
            ConnectionError: it does not answer.
        """
        check_allowed(self._url, self._send_images)
        self._client = self._connect()
        self._pump = Pump()
        self._gate = Gate(self._in_flight)
        self._requests, self._tokens = (Bucket(limit) for limit in self._limits)
        counts_money = self._ledger.max_cost is not None
        self._honoured = self._pump.call(
            probe(self._send_probe, self._host, self._wanted, self._schema, counts_money)
        )

    def notes(self) -> Mapping[str, Any]:
        return to_notes(self._honoured, self._wanted)

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        """Answers in the order of their arrival; at most `2 * in_flight` requests are ahead of them.

        Raises:
            ConnectionError: a request was tried `retries` times more, in vain.
            VlmError: the server refuses what the options ask for.
        """
        if self._pump is None:
            raise RuntimeError("setup() was not called")
        check_allowed(self._url, self._send_images)
        return self._pump.run(requests, self._answer, 2 * self._in_flight)

    async def _answer(self, request: Request) -> Answer:
        try:
            answer = await self._send(request, self._honoured, bool(self._honoured.json_schema))
        except Refused as refused:
            refusal = refused.refusal
            if refusal.kind == STOP:
                raise VlmError(f"{self._host} answers {refusal.status}: {refusal.why}") from None
            detail = f"{self._host} answers {refusal.status}: {refusal.why}"
            return Answer("", "", verdict=refusal.verdict, detail=detail)
        if request.words and not answer.words and answer.verdict == "ok" and self._wanted.words == "logprobs":
            raise VlmError(f"{self._host} gave probabilities when it was looked at and gives none now")
        return answer

    async def _send_probe(self, request: Request, honoured: Honoured, enforce: bool) -> Answer:
        answer = await self._send(request, honoured, enforce)
        self._ledger.count(answer.usage)
        return answer

    async def _send(self, request: Request, honoured: Honoured, enforce: bool) -> Answer:
        """Send a request until it is answered or refused for good.

        Raises:
            Refused, ConnectionError.
        """
        body = await asyncio.to_thread(self._body, request, honoured, enforce)
        faults, wait, last = 0, self._first_wait, ""
        for left in range(self._retries, -1, -1):
            answer, refusal = await self._attempt(request, body)
            if answer is not None:
                return answer
            if refusal is not None and refusal.kind != "retry":
                raise Refused(refusal)
            self._ledger.retry()
            last = f"status {refusal.status}" if refusal and refusal.status else "no connection or no answer"
            if refusal is not None and refusal.status == 429:
                self._gate.halve()
            if refusal is not None and refusal.status == 500:
                faults += 1
                if faults >= _FAULTS and request.request_id != "probe" and await self._is_well():
                    why = f"{faults} times, while it answers other requests"
                    raise Refused(Refusal(CONTENT, 500, "server_error", why=why))
            if left:
                asked_for = refusal.wait if refusal else None
                await asyncio.sleep(wait * random.uniform(0.75, 1.25) if asked_for is None else asked_for)
                wait = min(_MAX_WAIT, 2 * wait)
        raise ConnectionError(f"{self._host} does not answer ({last}, {self._retries + 1} times in a row)")

    async def _attempt(
        self, request: Request, body: Mapping[str, Any]
    ) -> tuple[Answer | None, Refusal | None]:
        """One attempt: an answer, a refusal, or neither, where the connection broke."""
        guess = self._mean_tokens or len(request.text) / 4 + _IMAGE_TOKENS * len(request.views)
        delay = max(self._requests.take(1), self._tokens.take(guess))
        if delay:
            await asyncio.sleep(delay)
        async with self._gate.enter():
            status, headers, text = await self._post(body)
        if status is None:
            return None, None
        if status != 200:
            return None, read_refusal(status, headers, text)
        try:
            reply = json.loads(text)
            read = from_systemone if self._wanted.words == "systemone" else from_chat
            answer = read(request, reply)
        except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
            return None, None  # a body that was cut, or a proxy's page
        self._gate.succeed()
        if answer.usage:
            total = sum(answer.usage)
            self._mean_tokens = total if not self._mean_tokens else 0.9 * self._mean_tokens + 0.1 * total
            self._tokens.take(total - guess)
        return answer, None

    async def _post(self, body: Mapping[str, Any]) -> tuple[int | None, Mapping[str, str], str]:
        """Status, headers and text of a reply; no status where there is no reply."""
        import openai

        try:
            if self._wanted.words == "systemone":
                found = await self._client.post("/systemone", body=body, cast_to=object)
                return 200, {}, json.dumps(found)
            reply = await self._client.chat.completions.with_raw_response.create(**body)
            return reply.http_response.status_code, reply.headers, reply.http_response.text
        except openai.APIStatusError as error:
            return error.status_code, error.response.headers, error.response.text
        except (openai.OpenAIError, OSError, ValueError):
            return None, {}, ""

    async def _is_well(self) -> bool:
        """Whether the server answers a small request without an image."""
        small = Request("", "probe", "probe", (), "Answer yes.")
        if self._wanted.words == "systemone":
            small = Request("", "probe", "probe", (), "Is it?", words=("yes", "no"))
        answer, _ = await self._attempt(small, self._body(small, self._honoured, False))
        if answer:
            self._ledger.count(answer.usage)
        return answer is not None

    def _body(self, request: Request, honoured: Honoured, enforce: bool) -> dict[str, Any]:
        if self._wanted.words == "systemone":
            return to_systemone(request, self._model)
        return to_chat(request, self._model, derive_seed(self._seed, request), honoured, enforce)

    def _connect(self) -> Any:
        try:
            import openai
        except ImportError:
            raise VlmError("an endpoint needs another package: pip install 'relforge[vlm]'") from None
        key = "none"
        if self._key_name is not None:
            key = os.environ.get(self._key_name, "")
            if not key:
                raise VlmError(
                    f"api_key_env names {self._key_name}, which is not set on this machine; set it where the "
                    "worker runs"
                )
            hide(key)
        # a proxy of the environment would be a third party that sees the images
        anywhere = self._send_images == "anywhere"
        transport = openai.DefaultAsyncHttpxClient(follow_redirects=False, trust_env=anywhere)
        return openai.AsyncOpenAI(
            api_key=key, base_url=self._url, max_retries=0, http_client=transport, timeout=self._timeout
        )
