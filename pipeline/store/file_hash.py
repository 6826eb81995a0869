"""Content hashes of the files a job reads, without reading an unchanged file twice."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import fsspec

from relforge.pipeline.errors import RunError

_RACY_SECONDS = 2.0
_BLOCK = 1 << 22


@dataclass(frozen=True)
class FileHash:
    """What a file or folder held.

    Args:
        signature: size, times and inode (or the store's ETag) at the time of hashing. The change time
            is among them: tools can set a modification time back, but not that one. Empty when the
            file was so young that an edit could fall into the same clock tick.
        sha256: of the content; of a folder, over names and contents of all files below it.
    """

    signature: str
    sha256: str


def hash_file(path: str, known: FileHash | None = None) -> FileHash:
    """Hash a file, a folder or a URI; nothing is read when its signature equals that of `known`.

    Raises:
        RunError: it does not exist or cannot be read.
    """
    try:
        if "://" in path:
            return _hash_remote(path, known)
        leaves = sorted(_leaves(path))
        signature, newest = _signature(leaves)
        if known and known.signature and known.signature == signature:
            return known
        digest = hashlib.sha256()
        for leaf in leaves:
            if leaf != path:
                digest.update(f"\0{os.path.relpath(leaf, path)}\0".encode())
            _update(digest, leaf)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    young = time.time() - newest < _RACY_SECONDS
    return FileHash("" if young else signature, digest.hexdigest())


def _leaves(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
    for folder, _, names in os.walk(path):
        for name in names:
            yield os.path.join(folder, name)


def _signature(leaves: list[str]) -> tuple[str, float]:
    facts = hashlib.sha256()
    newest = 0.0
    for leaf in leaves:
        stat = os.stat(leaf)
        facts.update(
            f"{leaf}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\0{stat.st_ino}\n".encode()
        )
        newest = max(newest, stat.st_mtime, stat.st_ctime)
    return facts.hexdigest(), newest


def _update(digest: hashlib._Hash, path: str) -> None:
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)


def _hash_remote(uri: str, known: FileHash | None) -> FileHash:
    fs, path = fsspec.core.url_to_fs(uri)
    info = fs.info(path)
    tag = info.get("ETag") or info.get("LastModified") or ""
    signature = f"{info.get('size')} {tag}" if tag else ""
    if known and known.signature and known.signature == signature:
        return known
    digest = hashlib.sha256()
    with fs.open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return FileHash(signature, digest.hexdigest())
