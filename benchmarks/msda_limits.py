"""The limits of the machine: measured speeds, and the least time that they allow for a problem."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from msda_cases import Problem
from torch import Tensor

from relforge.kernels.native.build import compiler


def measure_core() -> dict[str, float]:
    """Measured speeds of one CPU core; empty without a compiler."""
    command = compiler()
    if command is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/limits"
        source = str(Path(__file__).parent / "msda_limits.cpp")
        flags = ["-O3", "-std=c++17", "-march=native", "-ffp-contract=fast", "-w"]
        subprocess.run([*command.split(), *flags, source, "-o", program], check=True)
        lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines)}


def measure_gpu(device: str = "cuda", side: int = 8192) -> dict[str, float]:
    """Measured speeds of a GPU: a float32 GEMM of square matrices without tensor cores, reading 2^22
    numbers over and over (they stay in an H100's L2), and copying `side` x `side` numbers in memory."""
    matrix = torch.ones(side, side, device=device)
    half = matrix[: side // 2, : side // 2].contiguous()
    cached = matrix.flatten()[: 1 << 22].expand(64, -1)
    copy = torch.empty_like(matrix)

    def per_ns(work: float, run: Callable[[], Tensor]) -> float:
        """The best of ten runs: work per nanosecond, which is giga-work per second."""
        spent = []
        for _ in range(10):
            begin = time.perf_counter_ns()
            run().view(-1)[0].item()  # waits for the GPU
            spent.append(time.perf_counter_ns() - begin)
        return work / min(spent)

    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        flops = per_ns(2 * half.shape[0] ** 3, lambda: half @ half)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    return {
        "gflop_per_s": flops,
        "l2_random_gb_per_s": per_ns(4 * cached.numel(), lambda: cached.sum(1)),
        "memory_gb_per_s": per_ns(8 * matrix.numel(), lambda: copy.copy_(matrix)),
    }


def least_ms(problem: Problem, speeds: dict[str, float], backward: bool, storage: int) -> float | None:
    """The cache-bandwidth floor: gathered numbers at the L2's speed, everything else once from memory.

    Backward reads every gathered number again and adds to a float32 gradient of it (a read and a write); it
    reads every tensor again and writes a gradient of each. `storage` is the bytes of a number of `value`.
    """
    if not speeds:
        return None
    gathered = problem.gathered * (2 * storage + 8 if backward else storage) / speeds["l2_random_gb_per_s"]
    arithmetic = (3 if backward else 1) * problem.flops / speeds["gflop_per_s"]
    memory = (3 if backward else 1) * problem.compulsory_bytes(storage) / speeds["memory_gb_per_s"]
    return max(gathered, arithmetic) / 1e6 + memory / 1e6
