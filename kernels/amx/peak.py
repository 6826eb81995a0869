"""The speed that no product on the tile unit can exceed; for benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable

from relforge.kernels.amx.library import load


def peak(clock: Callable[[], float] = time.perf_counter) -> float:
    """bfloat16 FLOP/s of one thread's tile unit on registers alone, the best of a few tries of a millisecond:
    a third of it is the most that split products can reach."""
    times, flops_each = 40_000, 4 * 2 * 16 * 16 * 32
    multiply = load().rf_multiply_registers
    best = float("inf")
    for _ in range(8):
        start = clock()
        multiply(times)
        best = min(best, clock() - start)
    return times * flops_each / best
