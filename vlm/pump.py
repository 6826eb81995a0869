"""Coroutines for a stream of requests, on an event loop in a thread: it goes on while images are decoded."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from relforge.vlm.client import Answer, Request

T = TypeVar("T")
_ENCODERS = 2
"""Threads that make JPEGs."""


class Pump:
    """An event loop in a daemon thread, which ends with this object or the process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_ENCODERS, thread_name_prefix="vlm"))
        weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)
        threading.Thread(target=self._loop.run_forever, name="vlm", daemon=True).start()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run one coroutine to its end."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def run(
        self, requests: Iterable[Request], answer: Callable[[Request], Awaitable[Answer]], ahead: int
    ) -> Iterator[tuple[Request, Answer]]:
        """Answer requests as they come.

        Args:
            answer: of one request.
            ahead: requests that were read and are not answered yet, at most: so many images are in memory.

        Raises:
            Whatever `answer` raises; the others on their way are cancelled.
        """
        done: SimpleQueue[tuple[Request, Future[Answer]]] = SimpleQueue()
        waiting: set[Future[Answer]] = set()

        async def one(request: Request) -> Answer:
            return await answer(request)

        def put(request: Request, future: Future[Answer]) -> None:
            done.put((request, future))

        def next_answer() -> tuple[Request, Answer]:
            request, future = done.get()
            waiting.discard(future)
            return request, future.result()

        try:
            for request in requests:
                future = asyncio.run_coroutine_threadsafe(one(request), self._loop)
                waiting.add(future)
                future.add_done_callback(partial(put, request))
                while len(waiting) >= ahead or not done.empty():
                    yield next_answer()
            while waiting:
                yield next_answer()
        finally:
            for future in waiting:
                future.cancel()
