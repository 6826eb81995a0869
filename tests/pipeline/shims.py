"""System calls that fail or kill on command, to stand in a `LocalStorage`."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

from relforge.pipeline.local_storage import FileOps


class CountingOps(FileOps):
    """Calls `self.hit(kind, path)` before each system call, and again after a rename."""

    def write(self, descriptor: int, data: memoryview) -> int:
        self.hit("write", os.readlink(f"/proc/self/fd/{descriptor}"))
        return super().write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        self.hit("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
        super().fsync(descriptor)

    def rename(self, source: str, target: str) -> None:
        self.hit("rename", target)
        super().rename(source, target)
        self.hit("renamed", target)

    def hit(self, kind: str, path: str) -> None:
        raise NotImplementedError


class KillAt(CountingOps):
    """SIGKILL of this process at its n-th system call; what it was about to do goes to `log`."""

    def __init__(self, n: int, log: Path) -> None:
        self.n, self.log = n, log

    def hit(self, kind: str, path: str) -> None:
        self.n -= 1
        if self.n == 0:
            with self.log.open("a") as file:
                file.write(f"{kind} {path}\n")
            os.kill(os.getpid(), signal.SIGKILL)


class KillOnce(CountingOps):
    """SIGKILL of whichever process first does `kind` on a path that ends in one of `endings`; once each."""

    def __init__(self, kind: str, endings: tuple[str, ...], marks: Path) -> None:
        self.kind, self.endings, self.marks = kind, endings, marks

    def hit(self, kind: str, path: str) -> None:
        for index, ending in enumerate(self.endings):
            if kind == self.kind and path.endswith(ending):
                try:
                    os.open(self.marks / f"killed-{index}", os.O_CREAT | os.O_EXCL)
                except FileExistsError:
                    continue
                os.kill(os.getpid(), signal.SIGKILL)


class FailFrom(CountingOps):
    """From the n-th system call on paths holding `part` on, raise OSError with that number.

    Args:
        times: how often; after that all is well again.
    """

    def __init__(self, number: int, part: str = "", n: int = 1, times: int = 10**9) -> None:
        self.number, self.part, self.n, self.times = number, part, n, times

    def hit(self, kind: str, path: str) -> None:
        if self.part not in path or kind == "renamed":
            return
        self.n -= 1
        if self.n <= 0 and self.times > 0:
            self.times -= 1
            raise OSError(self.number, errno.errorcode[self.number], path)


class Interrupting(CountingOps):
    """Raises what Ctrl-C raises at the n-th system call."""

    def __init__(self, n: int) -> None:
        self.n = n

    def hit(self, kind: str, path: str) -> None:
        self.n -= 1
        if self.n == 0:
            raise KeyboardInterrupt
