"""CUDA graphs of one function for inputs of many shapes: the most recently used are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from relforge.models.cuda_graph import Work, capture
from relforge.models.gpu import free_cached_memory

K = TypeVar("K", bound=Hashable)


@dataclass
class _Kept:
    """A captured shape: the memory that its graph reads, and the graph."""

    inputs: list[Tensor]
    graph: Work


class GraphCache(Generic[K]):
    """Calls a function, by a replay where its shape was captured.

    A shape is computed kernel by kernel when it comes for the first time, and captured when it comes again:
    rare ones would cost more than they save. Graphs share their memory, for they never run at the same time;
    a result is in memory that the next call overwrites, so start reading it before.

    Args:
        function: (shape, inputs) -> result; with inputs on the device as `CudaGraph` wants it. Shapes of
            inputs and result depend on the first argument alone.
        device: the GPU.
        max_graphs: kept at most; the least recently used goes.
    """

    def __init__(
        self, function: Callable[[K, Sequence[Tensor]], Tensor], device: torch.device, max_graphs: int
    ) -> None:
        self.function, self.device, self.max_graphs = function, device, max_graphs
        self.note = "on"
        self._seen: set[K] = set()
        self._kept: dict[K, _Kept] = {}  # the most recently used last
        # inputs of one kind that several graphs read
        self._buffers: WeakValueDictionary[Hashable, Tensor] = WeakValueDictionary()
        self._pool: Any = None

    @property
    def shapes(self) -> list[K]:
        """Those that are captured, the most recently used last."""
        return list(self._kept)

    def __call__(self, shape: K, inputs: Sequence[Tensor]) -> Tensor:
        """The function's result.

        Args:
            shape: what decides the shapes of inputs and result.
            inputs: on the device, or on the host in pinned memory.
        """
        kept = self._kept.pop(shape, None) or self._capture(shape, inputs)
        if kept is None:
            return self.function(shape, inputs)
        self._kept[shape] = kept
        for own, new in zip(kept.inputs, inputs, strict=True):
            own.copy_(new, non_blocking=True)
        return kept.graph()

    def release(self, reason: str) -> None:
        """Give all memory back and capture nothing any more."""
        if self.note == "on":
            self._stop(reason)
        self._kept.clear()
        self._pool = None
        free_cached_memory(self.device)

    def _capture(self, shape: K, inputs: Sequence[Tensor]) -> _Kept | None:
        """The graph of a shape that came before; None where there is none."""
        if self.note != "on":
            return None
        if shape not in self._seen:
            self._seen.add(shape)
            return None
        while len(self._kept) >= self.max_graphs:
            del self._kept[next(iter(self._kept))]
        if self._pool is None and self.device.type == "cuda":
            self._pool = torch.cuda.graph_pool_handle()
        try:
            own = [self._buffer(number, one) for number, one in enumerate(inputs)]
        except RuntimeError as error:
            self._stop(str(error))
            return None
        for kept, new in zip(own, inputs, strict=True):  # what the warm-up reads
            kept.copy_(new, non_blocking=True)
        (graph,), note = capture([lambda: self.function(shape, own)], self.device, self._pool)
        if note != "on":
            self._stop(note.removeprefix("off: "))
            return None
        return _Kept(own, graph)

    def _buffer(self, number: int, like: Tensor) -> Tensor:
        """Memory of an input, which all graphs share whose input of that number has this shape."""
        key = number, like.shape, like.dtype, like.stride()
        found = self._buffers.get(key)
        if found is None:
            found = self._buffers[key] = torch.empty_like(like, device=self.device)
        return found

    def _stop(self, reason: str) -> None:
        """Capture nothing any more, and say so once; graphs that there are stay in use."""
        self.note = f"off: {reason.splitlines()[0]}"
        free_cached_memory(self.device)
        logging.getLogger("relforge.models").warning(
            "no further CUDA graphs after %d (%s); other shapes run kernel by kernel", len(self._kept), reason
        )
