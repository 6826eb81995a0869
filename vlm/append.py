"""A folder of files that grow: by appending on a disk, by writing the object anew on an object store."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Protocol
from uuid import uuid4

_MAX_OBJECT = 1 << 18
"""Bytes after which an object store gets another object: each flush writes the object whole."""


class AppendFolder(Protocol):
    """Files of lines; a file has one writer, and any number of readers at any time."""

    root: str

    def listing(self) -> dict[str, int]:
        """File name -> bytes; empty where the folder is absent."""
        ...

    def read(self, name: str, start: int = 0) -> bytes:
        """The bytes from `start` on. FileNotFoundError where the file is absent."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Add bytes to a file of this process, made where it is absent. A death of the process leaves the
        file as it was, or with the bytes, or with a part of them at its end."""
        ...


class LocalFolder:
    """Args:
    root: path of the folder; made on the first write.
    """

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(os.path.expanduser(root))

    def listing(self) -> dict[str, int]:
        try:
            with os.scandir(self.root) as entries:
                return {one.name: one.stat().st_size for one in entries if one.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def read(self, name: str, start: int = 0) -> bytes:
        with open(Path(self.root, name), "rb") as file:
            file.seek(start)
            return file.read()

    def append(self, name: str, data: bytes) -> None:
        os.makedirs(self.root, exist_ok=True)
        descriptor = os.open(Path(self.root, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)


class RemoteFolder:
    """Args:
    root: URI that fsspec opens, e.g. `s3://bucket/run/cache/vlm`.
    """

    def __init__(self, root: str) -> None:
        import fsspec

        self.root = root.rstrip("/")
        scheme = self.root.split("://")[0]
        self._fs = fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=False)
        self._base: str = self._fs._strip_protocol(self.root)
        self._written: dict[str, tuple[int, bytes]] = {}
        """File -> number of its object, and what that holds."""

    def listing(self) -> dict[str, int]:
        try:
            entries = self._fs.ls(self._base, detail=True)
        except FileNotFoundError:
            return {}
        return {one["name"].rsplit("/", 1)[-1]: one["size"] for one in entries if one["type"] == "file"}

    def read(self, name: str, start: int = 0) -> bytes:
        data: bytes = self._fs.cat_file(f"{self._base}/{name}")
        return data[start:]

    def append(self, name: str, data: bytes) -> None:
        number, before = self._written.get(name, (0, b""))
        if len(before) > _MAX_OBJECT:
            number, before = number + 1, b""
        stem, dot, ending = name.rpartition(".")
        self._fs.pipe_file(f"{self._base}/{stem}-{number:04d}{dot}{ending}", before + data)
        self._written[name] = number, before + data


def open_folder(root: str) -> AppendFolder:
    """The folder of a path or URI."""
    root = root.removeprefix("file://")
    return RemoteFolder(root) if "://" in root else LocalFolder(root)


def writer_name() -> str:
    """A name that no other process has, nor this one a second time."""
    return f"{socket.gethostname().replace('.', '_')}-{os.getpid()}-{uuid4().hex[:8]}"


def whole_lines(data: bytes) -> list[bytes]:
    """The lines that end: what a dying writer left of one is not among them."""
    return data.split(b"\n")[:-1]
