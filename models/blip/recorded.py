"""Work of a GPU recorded once as a CUDA graph and then replayed as a whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Recorded:
    """A function without arguments whose kernels are launched together, not one by one from Python.

    Args:
        function: works in memory that stays where it is, with shapes that stay as they are, and never asks
            the GPU for a value. It is called twice before it is recorded, so that libraries choose their
            kernels and take their memory; undo what those calls did.
        device: the GPU.
    """

    def __init__(self, function: Callable[[], Tensor], device: torch.device) -> None:
        with torch.cuda.device(device), torch.inference_mode():
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(2):
                    function()
            torch.cuda.current_stream().wait_stream(aside)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.answer = function()

    def __call__(self) -> Tensor:
        """The function's answer, in memory that the next call overwrites."""
        self.graph.replay()
        return self.answer
