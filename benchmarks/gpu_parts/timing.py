"""Time of a function on the device: many calls between two events, and as a CUDA graph."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch


def time_calls(run: Callable[[], Any], device: str, calls: int = 50, warm_up: int = 3) -> float:
    """Milliseconds per call of `calls` calls in a row, which the host queues as fast as it can.

    Where the host is slower than the GPU this is the host's time; `time_graph` is the GPU's alone.
    """
    for _ in range(warm_up):
        run()
    if device == "cpu":
        begin = time.perf_counter()
        for _ in range(calls):
            run()
        return 1e3 * (time.perf_counter() - begin) / calls
    begin_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin_event.record()
    for _ in range(calls):
        run()
    end_event.record()
    end_event.synchronize()
    return begin_event.elapsed_time(end_event) / calls


def capture(run: Callable[[], Any], warm_up: int = 3) -> torch.cuda.CUDAGraph:
    """A CUDA graph of one call; the warm-up runs on the stream of the capture."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(warm_up):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        run()
    return graph


def time_graph(run: Callable[[], Any], device: str, calls: int = 50) -> float | None:
    """Milliseconds per replay of the function as a CUDA graph: the GPU's time without the host's. None on the
    CPU."""
    if device == "cpu":
        return None
    return time_calls(capture(run).replay, device, calls)
