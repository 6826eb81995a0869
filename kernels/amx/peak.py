"""The speed that no GEMM on AMX can exceed; for benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable

from relforge.kernels.amx.library import load


def measure_peak(clock: Callable[[], float] = time.perf_counter) -> float:
    """bfloat16 FLOP/s of one thread's AMX on registers alone, the best of a few tries of a millisecond. A
    GEMM of split operands can reach a third of it."""
    repeats, flops_each = 40_000, 4 * 2 * 16 * 16 * 32
    multiply = load().rf_multiply_registers
    best = float("inf")
    for _ in range(8):
        start = clock()
        multiply(repeats)
        best = min(best, clock() - start)
    return repeats * flops_each / best
