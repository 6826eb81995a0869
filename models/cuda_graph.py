"""GPU work captured once as a CUDA graph and then replayed as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from relforge.models.kept_tensors import hold_kept_tensors

WARM_UPS = 3

Work = Callable[[], Tensor]
"""A function, or the graph of one."""


class CudaGraph:
    """A function without arguments whose kernels are launched together, not one by one from Python.

    Args:
        function: works in memory that stays where it is, with shapes that stay as they are, and never reads a
            value back from the GPU. It is called three times before it is captured, on the stream of the
            capture, so that libraries choose their kernels and allocate that stream's memory; undo what those
            calls did.
        device: the GPU.
        pool: of memory, from `torch.cuda.graph_pool_handle()`, for graphs that never run at the same time and
            whose results are read before another one runs; None: memory of its own.
    """

    def __init__(self, function: Work, device: torch.device, pool: Any = None) -> None:
        with torch.cuda.device(device), torch.inference_mode(), hold_kept_tensors() as self.constants:
            side_stream = torch.cuda.Stream()
            side_stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side_stream):
                for _ in range(WARM_UPS):
                    function()
            torch.cuda.current_stream().wait_stream(side_stream)
            self.graph = torch.cuda.CUDAGraph()
            # other threads may copy images meanwhile; their calls do not belong to the graph
            with torch.cuda.graph(
                self.graph, pool=pool, stream=side_stream, capture_error_mode="thread_local"
            ):
                self.result = function()

    def __call__(self) -> Tensor:
        """The function's result, in memory that the next call overwrites."""
        self.graph.replay()
        return self.result


def capture(functions: Sequence[Work], device: torch.device, pool: Any = None) -> tuple[list[Work], str]:
    """Graphs of all functions, or the functions themselves where one cannot be captured.

    Args:
        functions, device, pool: as `CudaGraph` takes them.

    Returns:
        what to call instead of each function; `on`, or `off` with the reason.
    """
    try:
        return [CudaGraph(function, device, pool) for function in functions], "on"
    except RuntimeError as error:
        return list(functions), f"off: {str(error).splitlines()[0]}"
