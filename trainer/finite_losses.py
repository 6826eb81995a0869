"""Whether losses are finite, known one step late: a GPU is not waited for in between."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class FiniteLosses:
    """Collects the losses of a step; the next step asks for one that is not finite."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Tensor, torch.cuda.Event | None]] = []

    def add(self, step: int, total: Tensor) -> None:
        """Remember a loss, one number on any device; its copy is queued behind what computes it."""
        total = total.detach()
        if total.device.type != "cuda":
            self._waiting.append((step, total, None))
            return
        copied = torch.empty((), dtype=total.dtype, pin_memory=True)
        copied.copy_(total, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._waiting.append((step, copied, event))

    def find(self) -> tuple[int, float] | None:
        """The first of the remembered losses that is not finite, with its step; all are forgotten.

        Waits for the losses alone, not for what was queued behind them.
        """
        waiting, self._waiting = self._waiting, []
        for step, total, event in waiting:
            if event is not None:
                event.synchronize()
            if not math.isfinite(value := float(total)):
                return step, value
        return None
