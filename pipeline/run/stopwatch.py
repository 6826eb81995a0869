"""Time of a shard: on the clock and on this process's CPUs."""

from __future__ import annotations

import time


class Stopwatch:
    """Runs from its creation on."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    @property
    def seconds(self) -> float:
        """Since it was created."""
        return time.monotonic() - self._wall

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of this process, all threads, since it was created."""
        return time.process_time() - self._cpu
