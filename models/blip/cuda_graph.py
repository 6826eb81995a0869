"""GPU work captured once as a CUDA graph and then replayed as a whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UPS = 3


class CudaGraph:
    """A function without arguments whose kernels are launched together, not one by one from Python.

    Args:
        function: works in memory that stays where it is, with shapes that stay as they are, and never reads a
            value back from the GPU. It is called three times before it is captured, on the stream of the
            capture, so that libraries choose their kernels and allocate that stream's memory; undo what those
            calls did.
        device: the GPU.
    """

    def __init__(self, function: Callable[[], Tensor], device: torch.device) -> None:
        with torch.cuda.device(device), torch.inference_mode():
            side_stream = torch.cuda.Stream()
            side_stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side_stream):
                for _ in range(WARM_UPS):
                    function()
            torch.cuda.current_stream().wait_stream(side_stream)
            self.graph = torch.cuda.CUDAGraph()
            # other threads may copy images meanwhile; their calls do not belong to the graph
            with torch.cuda.graph(self.graph, stream=side_stream, capture_error_mode="thread_local"):
                self.result = function()

    def __call__(self) -> Tensor:
        """The function's result, in memory that the next call overwrites."""
        self.graph.replay()
        return self.result
