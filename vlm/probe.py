"""What a server really does, by small requests: many answer 200 and leave undone what was asked."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from relforge.vlm.client import Answer, Request, Sampling, View, VlmError
from relforge.vlm.refusals import Refusal
from relforge.vlm.wire import Honoured

_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["answer"],
    "additionalProperties": False,
}

_FEW_TOKENS = 16
"""More than that for one is a limit that is ignored."""


class Refused(Exception):
    """A server's answer to a request that is not 2xx and stays so."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.why)


@dataclass(frozen=True)
class Wanted:
    """What a stage wants of a server.

    Args:
        words: how the probabilities of words are had: `logprobs`, `systemone`, or not at all.
        json: whether requests have a schema.
    """

    words: str = ""
    json: bool = False


Send = Callable[[Request, Honoured, bool], Awaitable[Answer]]
"""Sends a request to a server that is taken to honour so much, with its schema enforced or not."""


async def probe(send: Send, host: str, wanted: Wanted, schema: str, counts_money: bool) -> Honoured:
    """Ask a server for each thing and see whether the answer has it.

    Args:
        send: raises `Refused`.
        host: for messages.
        schema: the option: `auto`, `server` or `prompt`.
        counts_money: whether tokens have to be counted.

    Raises:
        VlmError: it cannot do what the options ask for; names host, option and fix.
    """
    if wanted.words == "systemone":
        return await _probe_systemone(send, host)
    honoured = await _probe_basics(send, host)
    if wanted.words == "logprobs" and not honoured.logprobs:
        raise VlmError(
            f"{host} gives no probabilities of tokens (logprobs); choose score: sample, or score: systemone "
            "where `transformers serve` runs the model"
        )
    if counts_money and not honoured.usage:
        raise VlmError(f"{host} counts no tokens, so max_cost cannot be kept; leave max_cost out")
    honoured = replace(honoured, seed=await _keeps_seed(send, honoured))
    if wanted.json:
        honoured = replace(
            honoured, json_schema=schema != "prompt" and await _follows_schema(send, honoured, host, schema)
        )
    return honoured


async def _probe_basics(send: Send, host: str) -> Honoured:
    """Whether it answers, takes images, and gives log-probabilities; which name its limit of tokens has."""
    honoured = Honoured(logprobs=True)
    request = _request("Is this image grey? Answer yes or no.", images=1, words=("yes",))
    while True:
        try:
            answer = await send(request, honoured, False)
            break
        except Refused as refused:
            weaker = _do_without(honoured, refused.refusal)
            if weaker is None:
                raise await _explain(send, honoured, host, refused.refusal) from None
            honoured = weaker
    if answer.usage and answer.usage.output_tokens > _FEW_TOKENS:
        raise VlmError(
            f"{host} was asked for one token and wrote {answer.usage.output_tokens}: it ignores "
            f"{honoured.tokens_field}; use another server"
        )
    plain = await send(_request(request.text, images=0), honoured, False)
    if answer.usage and plain.usage and answer.usage.input_tokens <= plain.usage.input_tokens:
        raise VlmError(f"{host} takes images and does not look at them; check that model reads images")
    return replace(
        honoured,
        logprobs=honoured.logprobs and bool(answer.words),
        usage=answer.usage is not None,
        model=answer.model_reported,
    )


def _do_without(honoured: Honoured, refusal: Refusal) -> Honoured | None:
    """What may be asked for instead; None where nothing may."""
    if refusal.field in ("logprobs", "top_logprobs") and honoured.logprobs:
        return replace(honoured, logprobs=False)
    if refusal.field.startswith("max_") and honoured.tokens_field == "max_tokens":
        return replace(honoured, tokens_field="max_completion_tokens")
    return None


async def _explain(send: Send, honoured: Honoured, host: str, refusal: Refusal) -> VlmError:
    """Whether it is the image that the server refuses."""
    if refusal.kind == "stop":
        return VlmError(f"{host} answers {refusal.status}: {refusal.why}")
    try:
        await send(_request("Answer yes.", images=0), replace(honoured, logprobs=False), False)
    except Refused as other:
        return VlmError(f"{host} answers {other.refusal.status}: {other.refusal.why or 'it fails'}")
    return VlmError(
        f"{host} refuses an image ({refusal.status}) and answers without; choose a model that reads images"
    )


async def _keeps_seed(send: Send, honoured: Honoured) -> bool:
    sampling = Sampling(temperature=1.0, max_tokens=12)
    request = _request("Write a few words about anything.", images=0, sampling=sampling)
    texts = {(await send(request, replace(honoured, logprobs=False), False)).text for _ in range(2)}
    return len(texts) == 1


async def _follows_schema(send: Send, honoured: Honoured, host: str, schema: str) -> bool:
    request = _request(
        "Write a few words about anything.", images=0, sampling=Sampling(1.0, max_tokens=48), schema=_SCHEMA
    )
    plain = replace(honoured, logprobs=False)
    try:
        follows = all([_is_answer((await send(request, plain, True)).text) for _ in range(2)])
    except Refused as refused:
        if refused.refusal.kind == "stop" and refused.refusal.field not in ("response_format", "json_schema"):
            raise VlmError(f"{host} answers {refused.refusal.status}: {refused.refusal.why}") from None
        follows = False
    if not follows and schema == "server":
        raise VlmError(f"{host} does not enforce a JSON schema; choose schema: auto or schema: prompt")
    return follows


def _is_answer(text: str) -> bool:
    try:
        return json.loads(text) in ({"answer": "yes"}, {"answer": "no"})
    except ValueError:
        return False


async def _probe_systemone(send: Send, host: str) -> Honoured:
    request = _request("Is this image grey?", images=1, words=("yes", "no"))
    try:
        answer = await send(request, Honoured(), False)
    except Refused as refused:
        raise VlmError(
            f"{host} answers {refused.refusal.status} at /v1/systemone; choose score: logprobs or "
            "score: sample, or run the model with `transformers serve`"
        ) from None
    return Honoured(logprobs=True, seed=True, usage=answer.usage is not None, model=answer.model_reported)


def to_notes(honoured: Honoured, wanted: Wanted) -> dict[str, Any]:
    """What of it a sidecar says."""
    notes: dict[str, Any] = {"logprobs": honoured.logprobs, "seed": honoured.seed}
    if wanted.json:
        notes["schema"] = "server" if honoured.json_schema else "prompt"
    return notes


def _request(
    text: str,
    images: int,
    words: tuple[str, ...] = (),
    sampling: Sampling | None = None,
    schema: Mapping[str, Any] | None = None,
) -> Request:
    view = View(np.full((64, 64, 3), 128, np.uint8), "grey", {})
    sampling = sampling or Sampling(max_tokens=1)
    return Request("", "probe", "probe", [view] * images, text, sampling=sampling, words=words, schema=schema)
