"""What a server's refusal of a request means: try again, give the image up, or stop."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

RETRY, CONTENT, STOP = "retry", "content", "stop"

_TRANSIENT = frozenset({408, 409, 425, 429})
_MAX_WAIT = 600.0
"""Seconds that a server may ask to be left alone."""
_TOO_LONG = re.compile(
    r"context.{0,12}(?:length|window|size|limit)|too (?:long|many tokens)|maximum.{0,20}(?:length|tokens)|"
    r"exceed.{0,40}(?:context|token|length)",
    re.IGNORECASE,
)
_IMAGE = re.compile(r"image|picture|base64|multimodal|media type|pixels", re.IGNORECASE)
_FIELDS = (
    *("response_format", "json_schema", "top_logprobs", "logprobs", "max_completion_tokens", "max_tokens"),
    *("temperature", "top_p", "seed", "model"),
)
"""Of our requests; longer names before those that they contain."""


@dataclass(frozen=True)
class Refusal:
    """What to do after a status that is not 2xx.

    Args:
        kind: `retry`, `content` (of this request alone) or `stop`.
        status: as it came.
        verdict: of a `content` one.
        wait: seconds that the server asks for, with `retry`; None: it does not say.
        field: of the request that the server names, with `stop`.
        why: a few words, ours; nothing that the server wrote.
    """

    kind: str
    status: int
    verdict: str = ""
    wait: float | None = None
    field: str = ""
    why: str = ""


def read_refusal(status: int, headers: Mapping[str, str], body: str) -> Refusal:
    """Sort a refusal; the body is read for what it is about, and not repeated."""
    error = _error(body)
    code = str(error.get("code") or error.get("type") or "")
    if status == 429 and code == "insufficient_quota":
        return Refusal(STOP, status, why="the account has no credit left; add some")
    if status in _TRANSIENT or status >= 500:
        return Refusal(RETRY, status, wait=read_wait(headers), why="busy" if status == 429 else "")
    if status in (401, 403):
        why = "the key is refused; set the variable that api_key_env names to one that may use the model"
        return Refusal(STOP, status, why=why)
    if status == 404:
        return Refusal(STOP, status, why="no such model or path; check model, and that endpoint ends in /v1")
    if 300 <= status < 400:
        return Refusal(STOP, status, why="it redirects, which is not followed; give the final address")
    if code == "content_filter":
        return Refusal(CONTENT, status, "refused", why="the server's filter holds the answer back")
    text = f"{code} {error.get('message') or body}"
    if _TOO_LONG.search(text) and "max_tokens is too large" not in text:
        return Refusal(CONTENT, status, "too_long", why="more tokens than the model takes")
    if field := _named_field(error, text):
        return Refusal(STOP, status, field=field, why=f"it does not take {field}")
    if status in (400, 413, 415, 422):
        what = "the image" if status in (413, 415) or _IMAGE.search(text) else "the request"
        return Refusal(CONTENT, status, "request_refused", why=f"{what} is refused")
    return Refusal(STOP, status, why="it refuses the request")


def read_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds of `Retry-After`, as a number or a date."""
    value = headers.get("retry-after", "").strip()
    try:
        return min(_MAX_WAIT, max(0.0, float(value)))
    except ValueError:
        pass
    try:
        return min(_MAX_WAIT, max(0.0, parsedate_to_datetime(value).timestamp() - time()))
    except (ValueError, TypeError):
        return None


def _error(body: str) -> dict[str, Any]:
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(record, dict) and isinstance(record.get("error"), dict):
        record = record["error"]
    return record if isinstance(record, dict) else {}


def _named_field(error: Mapping[str, Any], text: str) -> str:
    """A field of ours that the refusal is about."""
    named = str(error.get("param") or "")
    details = error.get("detail")
    if isinstance(details, list) and details and isinstance(details[0], dict):  # FastAPI's
        named = " ".join(str(part) for part in details[0].get("loc") or ())
        if "messages" in named:
            return ""
    for field in _FIELDS:
        if field in named.split(".") or field in named.split():
            return field
    if named:
        return ""
    return next((field for field in _FIELDS if field != "model" and field in text), "")
