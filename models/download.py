"""Files over HTTP: resumed where an earlier attempt stopped, and checked by their hash before they appear."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

TIMEOUT = 20.0
"""Seconds without an answer or a byte after which a server counts as out of reach."""
_CHUNK = 1 << 20


class FetchError(ValueError):
    """What could not be fetched, in one sentence."""


def get_json(url: str, token: str = "") -> Any:
    """A JSON document.

    Raises:
        FetchError: the server cannot be reached, refuses, or gives something else.
    """
    try:
        with urlopen(_request(url, token), timeout=TIMEOUT) as answer:
            return json.load(answer)
    except (OSError, ValueError) as error:
        raise FetchError(_explain(url, error)) from error


def download(
    url: str,
    path: Path,
    digest: str,
    size: int | None = None,
    token: str = "",
    note: Callable[[int], object] = id,
) -> None:
    """Put a file at `path`, whole and checked, or not at all.

    What has come is kept beside it as `NAME.part`, and the next call goes on from there.

    Args:
        digest: `sha256:HEX`, or `git:HEX`, the hash of a git blob.
        size: bytes, where known.
        token: sent to the server, e.g. of the hub.
        note: called with the number of bytes of the file that are here.

    Raises:
        FetchError: the server cannot be reached or refuses, or the content has another hash: then what came
            is deleted.
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.is_file() else 0
    if size is None or have < size:
        try:
            have = _receive(url, part, have, token, note)
        except OSError as error:
            raise FetchError(_explain(url, error)) from error
    found = _hash(part, digest.partition(":")[0])
    if found != digest:
        part.unlink()
        raise FetchError(
            f"{url}: its content has the hash {found}, and {digest} was expected; it was deleted: either the "
            "name is pinned to another version, or the file was damaged on the way"
        )
    os.replace(part, path)


def _receive(url: str, part: Path, have: int, token: str, note: Callable[[int], object]) -> int:
    """Append what is missing; returns the size."""
    request = _request(url, token)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416:  # nothing behind what is here: the hash decides
            raise
        return have
    with answer:
        resumes = answer.status == 206
        have = have if resumes else 0
        length = answer.headers.get("Content-Length")
        whole = have + int(length) if length and length.isdigit() else None
        with part.open("ab" if resumes else "wb") as file:
            while block := answer.read(_CHUNK):
                file.write(block)
                have += len(block)
                note(have)
    if whole is not None and have < whole:
        raise FetchError(
            f"{url}: ended after {have:,} of {whole:,} bytes; the same command goes on from there"
        )
    return have


def _request(url: str, token: str) -> Request:
    headers = {"User-Agent": "relforge"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return Request(url, headers=headers)


def _hash(path: Path, kind: str) -> str:
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(usedforsecurity=False)
    if kind == "git":
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"


def _explain(url: str, error: Exception) -> str:
    if isinstance(error, HTTPError):
        hints = {
            401: "it needs a token: set HF_TOKEN",
            403: "accept its terms on its page, then set HF_TOKEN",
        }
        hint = hints.get(error.code, "check the name")
        return f"{url}: the server answers {error.code} {error.reason}; {hint}"
    reason = error.reason if isinstance(error, URLError) else error
    return (
        f"{url}: cannot be reached ({reason}); where there is no network, fetch it on another machine and "
        "copy the folder that is printed there"
    )
