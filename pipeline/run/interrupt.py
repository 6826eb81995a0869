"""Ctrl-C: the first stops the run in order, the second at once. The folder stays valid either way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from relforge.pipeline.errors import Outcome


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into KeyboardInterrupt, and end the process on the second.

    SIGTERM is what a cluster sends before it takes a machine away. Off the main thread, where Python
    allows no handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            os.write(2, b"stopped at once; what was committed is safe, the same command goes on\n")
            _kill_descendants()
            os._exit(Outcome.INCOMPLETE)
        interrupted = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill_descendants() -> None:
    """End the processes of a local Ray; its agents would outlive it for minutes."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):  # nothing to find where there is no /proc
        with suppress(OSError, ValueError, IndexError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    descendants = list(children.get(os.getpid(), []))
    for pid in descendants:  # grows while it is walked
        descendants += children.get(pid, [])
    for pid in descendants:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
