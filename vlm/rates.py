"""How fast an endpoint is asked: requests and tokens a minute, and how many requests are on their way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_RAISE_AFTER = 50
"""Successes after which one more request may be on its way."""


class Bucket:
    """Tokens that flow in evenly and are taken out at once; it begins full, at a sixth of a minute's.

    Args:
        per_minute: how many flow in; None: there is no limit.
        clock: seconds.
    """

    def __init__(self, per_minute: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = None if per_minute is None else per_minute / 60
        self._clock, self._last = clock, clock()
        self._level = self._size = 0.0 if per_minute is None else max(1.0, per_minute / 6)

    def take(self, amount: float) -> float:
        """Take an amount; returns how many seconds have to pass before it is there. More than the size is
        owed, so that one large request passes and those after it wait."""
        if self._rate is None:
            return 0.0
        now = self._clock()
        self._level = min(self._size, self._level + (now - self._last) * self._rate) - amount
        self._last = now
        return max(0.0, -self._level / self._rate)


class Gate:
    """Lets a number of requests be on their way: half as many after a 429, one more after 50 successes.

    Args:
        limit: at most so many.
    """

    def __init__(self, limit: int) -> None:
        self.limit = self.allowed = limit
        self._inside = self._successes = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._inside < self.allowed)
            self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            async with self._changed:
                self._changed.notify_all()

    def halve(self) -> None:
        """The server said that these are too many."""
        self.allowed, self._successes = max(1, self.allowed // 2), 0

    def succeed(self) -> None:
        """A request was answered."""
        self._successes += 1
        if self._successes >= _RAISE_AFTER and self.allowed < self.limit:
            self.allowed, self._successes = self.allowed + 1, 0
