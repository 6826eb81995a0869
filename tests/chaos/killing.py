"""Storage that kills at a given place: this process, its node, its driver, or the cluster's head."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from relforge.pipeline.store.local_storage import FileOps, LocalStorage
from relforge.pipeline.store.object_storage import ObjectStorage
from relforge.pipeline.store.storage import Storage

MOMENTS = ("begun", "working", "writing", "data", "committed")
"""A shard's work was noted; a while later; its data file is about to be written; that is there without its
sidecar; the sidecar is there."""


@dataclass(frozen=True)
class Kill:
    """One kill.

    Args:
        victim: `self` (whoever comes to the place: a worker, an actor, or the driver of a loop), `node`,
            `driver` or `head`.
        stage, shard, moment: the place.
        table: which of the stage's files.
        delay: seconds, for `working`.
    """

    victim: str
    stage: str
    shard: int
    moment: str
    table: str
    delay: float = 0.0

    def comes(self, kind: str, path: str) -> bool:
        """Whether a system call is its place: `before` or `after` a file is published, or `write`."""
        part = f"{self.shard:05d}"
        if self.moment in ("begun", "working"):
            return kind == "after" and path.endswith(f"logs/running/{self.stage}-{part}.json")
        if self.moment == "committed":
            return kind == "after" and path.endswith(f"_state/{self.table}/part-{part}.json")
        name = f"{self.table}/part-{part}.parquet"
        return kind == {"writing": "write", "data": "after"}[self.moment] and path.endswith(name)


class Killer:
    """Kills once per place.

    Args:
        folder: holds `driver.pid`, the marks of kills that were done, and their log `kills.jsonl`.
        kills: what to kill, where.
    """

    def __init__(self, folder: Path, kills: Sequence[Kill]) -> None:
        self.folder, self.kills = folder, tuple(kills)

    def hit(self, kind: str, path: str) -> None:
        """Called at every system call on a file of the run folder."""
        for number, kill in enumerate(self.kills):
            if kill.comes(kind, path) and self._is_first(number):
                if kill.moment == "working":
                    threading.Timer(kill.delay, self._kill, (kill,)).start()
                else:
                    self._kill(kill)

    def _is_first(self, number: int) -> bool:
        try:
            os.close(os.open(self.folder / f"killed-{number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _kill(self, kill: Kill) -> None:
        pid = find_victim(kill.victim, self.folder)
        if pid is None:
            return
        line = json.dumps({**asdict(kill), "process": _title(pid), "when": time.time()}) + "\n"
        log = os.open(self.folder / "kills.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, line.encode())
        os.close(log)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def find_victim(victim: str, folder: Path) -> int | None:
    """The process id; a node is its raylet, which takes its workers along, a head its `gcs_server`. None
    where it is dead already."""
    if victim == "self":
        return os.getpid()
    if victim == "driver":
        return int((folder / "driver.pid").read_text())
    raylet = os.getppid()
    if _title(raylet) != "raylet":
        return None
    if victim == "node":
        return raylet
    starter = _parent(raylet)
    siblings = (int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat"))
    return next((pid for pid in siblings if _parent(pid) == starter and _title(pid) == "gcs_server"), None)


class KillingOps(FileOps):
    """The system calls of a local run folder."""

    def __init__(self, killer: Killer) -> None:
        self._killer = killer

    def write(self, descriptor: int, data: memoryview) -> int:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        final = re.sub(r"/\.([^/]+?\.(?:json|parquet))\.[^/]*$", r"/\1", path)
        self._killer.hit("write", final)
        return super().write(descriptor, data)

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self._killer.hit("after", target)


class KillingObjects(ObjectStorage):
    """The PUTs of a run folder on an object store."""

    def __init__(self, uri: str, killer: Killer) -> None:
        super().__init__(uri)
        self._killer = killer

    def __reduce__(self) -> tuple[Callable[..., KillingObjects], tuple[str, Killer]]:  # type: ignore[override]
        return type(self), (self.root, self._killer)

    def write(self, path: str, data: bytes, *, durable: bool = True, private: bool = False) -> None:
        self._killer.hit("write", path)
        super().write(path, data, durable=durable, private=private)
        self._killer.hit("after", path)


def killing_storage(uri: str, killer: Killer) -> Storage:
    """The storage of a run folder, with a killer in it."""
    return KillingObjects(uri, killer) if "://" in uri else LocalStorage(uri, KillingOps(killer))


def _title(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""
    return os.path.basename(name)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0
