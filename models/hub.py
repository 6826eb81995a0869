"""Repositories of the Hugging Face hub: their files with hashes, and their licence; fetched at one commit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from relforge.models.download import FetchError, download, get_json
from relforge.models.fetched import COMPLETE, Pinned
from relforge.models.files import PATTERNS, PUBLISHED_SUFFIXES


@dataclass(frozen=True)
class Listing:
    """What a repository holds at a commit.

    Args:
        pinned: its name, with the commit.
        licence: as its card states it; empty where it states none.
        files: path -> size in bytes, and the hash as `download` takes it.
    """

    pinned: Pinned
    licence: str
    files: dict[str, tuple[int, str]]


def refuse_offline() -> None:
    """Say at once that nothing can be fetched where the user has switched the network off.

    Raises:
        FetchError: `HF_HUB_OFFLINE` is set.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise FetchError(
            "HF_HUB_OFFLINE is set, so nothing is fetched; unset it, or copy the files from elsewhere"
        )


def list_repository(pinned: Pinned) -> Listing:
    """Ask the hub what a repository holds; without a commit, at its newest.

    Raises:
        FetchError: the hub cannot be reached, has no such repository, or lists a file outside of it.
    """
    kind = "datasets" if pinned.is_dataset else "models"
    revision = f"/revision/{pinned.commit}" if pinned.commit else ""
    found = get_json(f"{_endpoint()}/api/{kind}/{quote(pinned.repository)}{revision}?blobs=true", _token())
    files: dict[str, tuple[int, str]] = {}
    try:
        for one in found["siblings"]:
            name = str(one["rfilename"])
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise FetchError(f"{pinned.repository}: lists the file {name!r}, which is outside of it")
            large = one.get("lfs")
            digest = f"sha256:{large['sha256']}" if large else f"git:{one['blobId']}"
            files[name] = int((large or one)["size"]), digest
        commit, card = str(found["sha"]), found.get("cardData") or {}
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, FetchError):
            raise
        raise FetchError(f"{pinned.repository}: the hub's answer lacks {error}") from error
    if pinned.commit and commit != pinned.commit:
        raise FetchError(
            f"{pinned.repository}: the hub gives commit {commit}, and {pinned.commit} was asked for"
        )
    licence = card.get("license") or ""
    licence = ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence)
    if not pinned.is_dataset:
        files = {name: one for name, one in files.items() if _is_of_model(name)}
    return Listing(replace(pinned, commit=commit), licence, files)


def fetch_repository(listing: Listing, note: Callable[[str, int], None]) -> Path:
    """Fetch every file that is not here yet; what an earlier call brought is kept.

    Args:
        note: called with (file, bytes of it that are here).

    Raises:
        FetchError: see `download`.
    """
    pinned = listing.pinned
    kind = "datasets/" if pinned.is_dataset else ""
    for name, (size, digest) in listing.files.items():
        path = pinned.folder / name
        if path.is_file() and path.stat().st_size == size:
            continue  # it was checked before it got its name
        url = f"{_endpoint()}/{kind}{quote(pinned.repository)}/resolve/{pinned.commit}/{quote(name)}"
        download(url, path, digest, size, _token(), partial(note, name))
    _complete(pinned.folder, {"name": pinned.name, "licence": listing.licence})
    return pinned.path


def fetch_file(pinned: Pinned, note: Callable[[str, int], None]) -> Path:
    """Fetch the file of a URL.

    Raises:
        FetchError: see `download`.
    """
    name = pinned.path.name
    download(pinned.url, pinned.path, f"sha256:{pinned.sha256}", note=lambda count: note(name, count))
    _complete(pinned.folder, {"name": pinned.name})
    return pinned.path


def _complete(folder: Path, facts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / COMPLETE).write_text(json.dumps(facts) + "\n", encoding="utf-8")


def _is_of_model(name: str) -> bool:
    """Files at the root that a model is read from; weights of other programs stay on the hub."""
    wanted = (*PATTERNS, *(f"*{suffix}" for suffix in PUBLISHED_SUFFIXES), "README.md", "LICENSE*")
    return "/" not in name and any(fnmatch(name, pattern) for pattern in wanted)


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _token() -> str:
    return os.environ.get("HF_TOKEN", "")
