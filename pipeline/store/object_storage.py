"""Run folders on an object store, or on anything else that fsspec opens by URI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import fsspec

from relforge.pipeline.errors import RunError, StorageError
from relforge.pipeline.store.files import Files
from relforge.pipeline.store.s3 import OPTIONS as S3_OPTIONS
from relforge.pipeline.store.s3 import S3
from relforge.pipeline.store.storage import Stat

_S3 = ("s3", "s3a")


class ObjectStorage:
    """Atomic because one PUT is: an object is there whole or not at all.

    Args:
        uri: e.g. `s3://bucket/run`. Credentials and endpoint come from the usual places of the scheme
            (for S3: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...).
    """

    def __init__(self, uri: str) -> None:
        self.root = uri.rstrip("/")
        # objects written by other processes must be listed: no cached listings
        scheme = self.root.split("://")[0]
        try:
            options = S3_OPTIONS if scheme in _S3 else {}
            self._fs = fsspec.filesystem(scheme, use_listings_cache=False, **options)
        except ImportError as error:
            raise RunError(f"{scheme}:// needs another package: pip install 'relforge[{scheme}]'") from error
        except ValueError as error:
            raise RunError(f"run folder {uri}: unknown scheme {scheme!r}; use a path or s3://") from error
        self._base: str = self._fs._strip_protocol(self.root)
        bucket, _, self._prefix = self._base.partition("/")
        self._s3 = S3(self._fs, bucket) if scheme in _S3 else None

    def __reduce__(self) -> tuple[type[ObjectStorage], tuple[str]]:
        return type(self), (self.root,)

    def read(self, path: str) -> bytes:
        with self._refusals():
            data: bytes = self._fs.cat_file(self._path(path))
        return data

    def read_end(self, path: str, count: int) -> bytes:
        with self._refusals():
            data: bytes = self._fs.cat_file(self._path(path), start=-count)
        return data

    def stage(self, path: str, data: bytes, check: Callable[[bytes], None] | None = None) -> _PendingPut:
        if check:
            check(data)
        return _PendingPut(self, path, data)

    def write(self, path: str, data: bytes, *, durable: bool = True, private: bool = False) -> None:
        with self._refusals():
            self._fs.pipe_file(self._path(path), data)

    def files(self, folder: str) -> Files:
        try:
            with self._refusals():
                if self._s3:
                    prefix = "/".join(filter(None, (self._prefix, folder)))
                    return self._s3.files(f"{prefix}/" if prefix else "")
                entries = self._fs.ls(self._path(folder), detail=True)
        except FileNotFoundError:
            return Files.of(())
        names = ((entry["name"].rsplit("/", 1)[-1], entry) for entry in entries if entry["type"] == "file")
        return Files.of(
            (name, Stat(entry["size"], str(entry.get("ETag") or entry.get("created") or "")))
            for name, entry in names
            if name and name[0] != "."
        )

    def listing(self, folder: str) -> dict[str, Stat]:
        return self.files(folder).stats()

    def size(self, path: str) -> int | None:
        try:
            with self._refusals():
                if self._s3:
                    return self._s3.size("/".join(filter(None, (self._prefix, path))))
                size: int = self._fs.size(self._path(path))
        except FileNotFoundError:
            return None
        return size

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError), self._refusals():
            self._fs.rm_file(self._path(path))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        yield  # object stores have none; equal inputs give equal bytes, so the order of PUTs is harmless

    def delete_orphans(self, folder: str) -> int:
        return 0  # a PUT that did not finish leaves nothing behind

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """A refusal of the store as one sentence: trying again at once would not help."""
        try:
            yield
        except PermissionError as error:
            raise StorageError(
                f"{self.root} refuses access ({error}); renew the credentials and give the same command again"
            ) from error

    def _path(self, path: str) -> str:
        return f"{self._base}/{path}"


class _PendingPut:
    """Bytes in memory, one PUT away from being visible."""

    modified = ""  # the ETag is the store's to choose

    def __init__(self, storage: ObjectStorage, path: str, data: bytes) -> None:
        self._storage, self._path, self._data = storage, path, data

    def publish(self) -> None:
        self._storage.write(self._path, self._data)

    def discard(self) -> None:
        self._data = b""
