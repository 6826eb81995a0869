"""Run folders on a local or network-mounted disk."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.pipeline.errors import StorageError
from relforge.pipeline.store.files import Files
from relforge.pipeline.store.storage import Stat

_REFUSALS = {
    errno.ENOSPC: "the disk is full; free some space and give the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and give the same command again",
    errno.EROFS: "the file system is read-only; mount it writable or choose another run folder",
    errno.EACCES: "no permission to write there; change it or choose another run folder",
    errno.EPERM: "no permission to write there; change it or choose another run folder",
    errno.ENOTDIR: "a part of the path is a file; choose another run folder",
}
_TEMPORARY = ".tmp"


class FileOps:
    """The three system calls a commit rests on; fault tests put their own in place."""

    def write(self, descriptor: int, data: memoryview) -> int:
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)


class LocalStorage:
    """Atomic by rename within one folder.

    Args:
        root: the folder; made on the first write.
        ops: the system calls to use.
    """

    def __init__(self, root: str | os.PathLike[str], ops: FileOps | None = None) -> None:
        self.root = os.path.abspath(os.path.expanduser(os.fspath(root)))
        self._ops = ops or FileOps()

    def read(self, path: str) -> bytes:
        with open(self._path(path), "rb") as file:
            return file.read()

    def read_end(self, path: str, count: int) -> bytes:
        with open(self._path(path), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - count))
            return file.read()

    def stage(self, path: str, data: bytes, check: Callable[[bytes], None] | None = None) -> _PendingRename:
        return self._stage(path, data, check, durable=True)

    def _stage(
        self, path: str, data: bytes, check: Callable[[bytes], None] | None, durable: bool
    ) -> _PendingRename:
        target = self._path(path)
        folder, name = os.path.split(target)
        temporary = os.path.join(folder, f".{name}.{_owner()}-{uuid4().hex[:8]}{_TEMPORARY}")
        with self._storage_errors(path):
            os.makedirs(folder, exist_ok=True)
            try:
                self._write_through(temporary, data, durable)
                if check:
                    with open(temporary, "rb") as file:
                        check(file.read())
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        return _PendingRename(self, temporary, target, durable)

    def write(self, path: str, data: bytes, *, durable: bool = True, private: bool = False) -> None:
        pending = self._stage(path, data, None, durable)
        try:
            if private:
                pending.restrict()
            pending.publish()
        except BaseException:
            pending.discard()
            raise

    def files(self, folder: str) -> Files:
        names: list[str] = []
        sizes, modified, changed = array("q"), array("q"), array("q")
        inodes = array("Q")
        try:
            # names relative to an open folder are resolved faster than paths
            descriptor = os.open(self._path(folder), os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return Files.of(())
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    if entry.name[0] == "." or not entry.is_file():
                        continue
                    try:
                        stat = entry.stat()
                    except FileNotFoundError:  # removed since the listing began
                        continue
                    names.append(entry.name)
                    sizes.append(stat.st_size)
                    modified.append(stat.st_mtime_ns)
                    inodes.append(stat.st_ino)
                    changed.append(stat.st_ctime_ns)
        finally:
            os.close(descriptor)
        texts = (pa.array(np.asarray(column)).cast(pa.string()) for column in (modified, inodes))
        marks = pc.binary_join_element_wise(*texts, " ")
        return Files(_texts(names), pa.array(np.asarray(sizes)), marks, pa.array(np.asarray(changed)))

    def listing(self, folder: str) -> dict[str, Stat]:
        return self.files(folder).stats()

    def size(self, path: str) -> int | None:
        try:
            return os.stat(self._path(path)).st_size
        except FileNotFoundError:
            return None

    def delete(self, path: str) -> None:
        with self._storage_errors(path), suppress(FileNotFoundError):
            os.unlink(self._path(path))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        path = self._path(name)
        with self._storage_errors(name):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            # some network mounts have no locks; there the commit stays safe by content hashes alone
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def delete_orphans(self, folder: str) -> int:
        removed = 0
        try:
            names = [name for name in os.listdir(self._path(folder)) if name.endswith(_TEMPORARY)]
        except (FileNotFoundError, NotADirectoryError):
            return 0
        for name in names:
            host, _, pid = name.removesuffix(_TEMPORARY).split(".")[-1].rpartition("-")[0].rpartition("-")
            if name[0] == "." and host == _host() and pid.isdigit() and not process_lives(int(pid)):
                with suppress(OSError):
                    os.unlink(os.path.join(self._path(folder), name))
                    removed += 1
        return removed

    def _path(self, path: str) -> str:
        return os.path.join(self.root, path)

    def _write_through(self, path: str, data: bytes, durable: bool) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._ops.write(descriptor, rest) :]
            if durable:
                self._ops.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _rename(self, temporary: str, target: str, durable: bool) -> None:
        with self._storage_errors(target):
            self._ops.rename(temporary, target)
            if not durable:
                return
            # the name itself must survive a power cut too
            descriptor = os.open(os.path.dirname(target), os.O_RDONLY)
            try:
                self._ops.fsync(descriptor)
            finally:
                os.close(descriptor)

    @contextmanager
    def _storage_errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            raise StorageError(f"cannot write {self._path(path)}: {_REFUSALS[error.errno]}") from error


class _PendingRename:
    """A flushed temporary file beside its target."""

    def __init__(self, storage: LocalStorage, temporary: str, target: str, durable: bool) -> None:
        self._storage, self._temporary, self._target, self._durable = storage, temporary, target, durable
        self.modified = _mark(os.stat(temporary))  # a rename changes neither

    def restrict(self) -> None:
        """Let the owner alone read the file."""
        os.chmod(self._temporary, 0o600)

    def publish(self) -> None:
        self._storage._rename(self._temporary, self._target, self._durable)

    def discard(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._temporary)


def _mark(stat: os.stat_result) -> str:
    """Changes with every write to the file and with every other file under its name."""
    return f"{stat.st_mtime_ns} {stat.st_ino}"


def _texts(names: list[str]) -> pa.StringArray:
    try:
        return pa.array(names, pa.string())
    except UnicodeEncodeError:  # a name that is no UTF-8: somebody else's
        return pa.array([name.encode(errors="replace").decode() for name in names], pa.string())


def process_lives(pid: int) -> bool:
    """Whether a process of that id exists on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _host() -> str:
    return socket.gethostname().replace(".", "_")


def _owner() -> str:
    return f"{_host()}-{os.getpid()}"
