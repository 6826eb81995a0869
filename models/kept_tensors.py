"""Constants on a device, made once for each size and kept for the next batch of that size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_HOLDERS: list[list[object]] = []


class KeptTensors(Generic[P, T]):
    """A function whose results are kept, so that a batch of a known size copies nothing from the host.

    Args:
        make: from hashable arguments to tensors on a device; their values depend on nothing else.
        max_kept: results kept at most; the least recently used goes.
    """

    def __init__(self, make: Callable[P, T], max_kept: int) -> None:
        self._get: Callable[..., T] = lru_cache(maxsize=max_kept)(make)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        result = self._get(*args, **kwargs)
        for holder in _HOLDERS:
            holder.append(result)
        return result


@contextmanager
def hold_kept_tensors() -> Iterator[list[object]]:
    """Within it, all that any `KeptTensors` returns is in the list as well.

    A CUDA graph reads its tensors at their addresses: it holds them, or they would be freed under it when
    other sizes take their place.
    """
    holder: list[object] = []
    _HOLDERS.append(holder)
    try:
        yield holder
    finally:
        _HOLDERS.pop()
