"""Heartbeats: the file that a running driver keeps in the run folder, and those of other drivers."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from relforge.pipeline.errors import RunError
from relforge.pipeline.run.marks import DRIVERS, Heartbeat, try_mark
from relforge.pipeline.store.local_storage import process_lives
from relforge.pipeline.store.run_folder import RunFolder

HEARTBEAT_SECONDS = 10.0
DEAD_AFTER_SECONDS = 60.0


@dataclass(frozen=True)
class LivingDriver:
    """A driver whose heartbeat is recent: its id, machine and process."""

    id: str
    host: str
    pid: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Driver:
    """This process as a driver: a file with a heartbeat while the context is open.

    Workers check for the halt file of their driver before every shard, so that a run on a shared cluster
    can be stopped without killing anything.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.id = uuid4().hex[:12]
        self._folder = folder
        self._started = time.time()
        self._stop = Event()
        self._thread = Thread(target=self._beat, name="relforge-heartbeat", daemon=True)

    def __enter__(self) -> Driver:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(OSError, RunError):
            self._folder.storage.delete(f"{DRIVERS}/{self.id}.json")
            self._folder.storage.delete(halt_path(self.id))

    def halt(self) -> None:
        """Make this driver's workers begin no further shard."""
        halt(self._folder, self.id)

    def halted_by(self) -> dict[str, Any] | None:
        """The report of the worker that halted the run, if one did."""
        value = self._folder.read_json(halt_path(self.id))
        report = value.get("report") if value else None
        return report if isinstance(report, dict) else None

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            with suppress(OSError, RunError):  # a lost heartbeat is no reason to end a run
                self._write()

    def _write(self) -> None:
        self._folder.write_json(
            f"{DRIVERS}/{self.id}.json",
            {"host": socket.gethostname(), "pid": os.getpid(), "started": self._started, "beat": time.time()},
            durable=False,
        )


def halt_path(driver: str) -> str:
    """The file that stops a driver's workers."""
    return f"logs/halt-{driver}.json"


def halt(folder: RunFolder, driver: str, report: dict[str, Any] | None = None) -> None:
    """Write the halt file. Best effort: on a full disk the reason for the halt must still be reported."""
    with suppress(OSError, RunError):
        folder.write_json(halt_path(driver), {"report": report}, durable=False)


def living_drivers(folder: RunFolder, forget_dead: bool = False) -> list[LivingDriver]:
    """Drivers at work on this folder.

    Args:
        forget_dead: also delete the files of those that died.
    """
    living = []
    for name in folder.storage.listing(DRIVERS):
        path, driver = f"{DRIVERS}/{name}", name.removesuffix(".json")
        value = try_mark(folder, path, Heartbeat)
        if value and _lives(value["host"], value["pid"], value["beat"]):
            living.append(LivingDriver(driver, value["host"], value["pid"]))
        elif forget_dead:
            folder.storage.delete(path)
            folder.storage.delete(halt_path(driver))
    return living


def _lives(host: str, pid: int, beat: float) -> bool:
    if time.time() - beat > DEAD_AFTER_SECONDS:
        return False
    return host != socket.gethostname() or process_lives(pid)
