"""A request as OpenAI's chat completions and `/v1/systemone` take it; what they send back as an answer."""

from __future__ import annotations

import io
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relforge.vlm.client import Answer, Request, Usage

TOP_LOGPROBS = 20
"""As many as hosted services give at most."""
MAX_TEXT = 1 << 16
"""Characters of an answer that are kept."""
_JPEG_QUALITY = 95
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Honoured:
    """What a server does, as `probe` saw it.

    Args:
        tokens_field: `max_tokens` or `max_completion_tokens`.
        logprobs: whether it gives log-probabilities of tokens.
        seed: whether one seed gave one text twice, one request after the other.
        json_schema: whether an answer followed a schema; None where no stage wants it.
        usage: whether it counts tokens.
        model: its name, as it says.
    """

    tokens_field: str = "max_tokens"
    logprobs: bool = False
    seed: bool = False
    json_schema: bool | None = None
    usage: bool = False
    model: str = ""


def to_chat(request: Request, model: str, seed: int, honoured: Honoured, enforce: bool) -> dict[str, Any]:
    """Arguments of `chat.completions.create`; images first, the question last, for a server's prefix cache.

    Args:
        enforce: let the server enforce the request's schema.
    """
    content: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": to_data_url(view.pixels)}} for view in request.views
    ]
    content.append({"type": "text", "text": request.text})
    messages: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
    messages.append({"role": "user", "content": content})
    arguments: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "seed": seed,
        honoured.tokens_field: request.sampling.max_tokens,
    }
    if honoured.logprobs:
        arguments["logprobs"] = True
        if request.words:
            arguments["top_logprobs"] = TOP_LOGPROBS
    if request.schema is not None and enforce:
        schema = {"name": "answer", "schema": dict(request.schema), "strict": True}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    return arguments


def to_systemone(request: Request, model: str) -> dict[str, Any]:
    """Body of `/v1/systemone`: one yes-or-no question."""
    names = [f"<img-{number}>" for number in range(1, len(request.views) + 1)]
    assets = {
        name: {"data_base64": to_data_url(view.pixels).partition(",")[2]}
        for name, view in zip(names, request.views, strict=True)
    }
    state = " ".join([request.system, *names]).strip()
    questions = {"answer": {"type": "noul", "instructions": request.text}}
    return {"model": model, "state": state, "questions": questions, "assets": assets}


def to_data_url(pixels: NDArray[np.uint8]) -> str:
    """H x W x 3 uint8 as a JPEG inside a URL: nothing of the file, such as EXIF, goes along."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"


def from_chat(request: Request, reply: Mapping[str, Any]) -> Answer:
    """A completion's answer.

    Raises:
        ValueError: it is no completion; without its content.
    """
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("the reply has no choice in it")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ValueError("the reply has no message in it")
    finish = str(choice.get("finish_reason") or "")[:64]
    tokens = _tokens(choice)
    refused = "the model declines to answer" if message.get("refusal") else ""
    if finish == "content_filter":
        refused = "the server's filter holds the answer back"
    return Answer(
        text=clean_text(message.get("content")),
        finish_reason=finish,
        logprob=sum(float(one.get("logprob") or 0.0) for one in tokens) if tokens else None,
        words=read_words(request.words, tokens[0] if tokens else {}),
        usage=_usage(reply.get("usage"), "prompt_tokens", "completion_tokens"),
        model_reported=clean_text(reply.get("model"))[:256],
        verdict="refused" if refused else "ok",
        detail=refused,
    )


def from_systemone(request: Request, reply: Mapping[str, Any]) -> Answer:
    """The answer of `/v1/systemone`: P(yes) among yes and no; how much that is of all words it does not say.

    Raises:
        ValueError: it is no such reply.
    """
    try:
        yes = float(reply["answers"]["answer"]["noul"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("the reply has no probability in it") from None
    words = {}
    for start, share in (("yes", yes), ("no", 1.0 - yes)):
        word = next((one for one in request.words if one.lower() == start), None)
        if word is not None:
            words[word] = share
    usage = _usage(reply.get("usage"), "input_tokens", "output_tokens")
    return Answer("", "stop", words=words, usage=usage, model_reported=clean_text(reply.get("model"))[:256])


def read_words(words: Sequence[str], token: Mapping[str, Any]) -> dict[str, float]:
    """Probability of each word as the first token, spaces before it left out; of a word that is not among the
    listed, the smallest that is: it has no more. Empty where nothing is listed."""
    listed = token.get("top_logprobs")
    if not words or not isinstance(listed, list) or not listed:
        return {}
    found: dict[str, float] = {}
    smallest = 1.0
    for one in listed:
        probability = exp(min(0.0, float(one["logprob"])))
        smallest = min(smallest, probability)
        text = str(one["token"]).replace("Ġ", " ").replace("▁", " ").strip()
        if text in words:
            found[text] = found.get(text, 0.0) + probability
    return {word: found.get(word, smallest) for word in words}


def clean_text(value: object) -> str:
    """Text of a reply, without control characters and no longer than `MAX_TEXT`; empty for anything else."""
    return _CONTROL.sub("", value)[:MAX_TEXT] if isinstance(value, str) else ""


def _tokens(choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = (choice.get("logprobs") or {}).get("content")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _usage(record: Any, inputs: str, outputs: str) -> Usage | None:
    try:
        return Usage(int(record[inputs]), int(record[outputs]))
    except (KeyError, TypeError, ValueError):
        return None
