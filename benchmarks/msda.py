"""Speed and memory of multi-scale deformable attention against its peers, and how near the machine's limits.

    python benchmarks/msda.py [--cases FILE.json] [--threads 1 2] [--allocators default huge] [--json]
    python benchmarks/msda.py --scaling          time against queries, levels and points
    python benchmarks/msda.py --device cuda      the same on a GPU, peers as far as they are installed

Contenders take turns within one process; times are medians. `huge` repeats everything in a process with
THP_MEM_ALLOC_ENABLE=1, where fresh tensors cost fewer page faults. FILE.json holds a list of cases as
`msda_cases.CASES` describes them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from msda_cases import CASES, PEERS, Function, Problem, build, ours
from report import emit

from relforge.kernels.build import compiler
from relforge.kernels.library import load

PER_PEER_RUN = 5  # ours is run this often per run of a peer


def seconds(run: Callable[[], Any], device: str) -> float:
    begin = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def ceilings() -> dict[str, float]:
    """Measured limits of one core; empty without a compiler."""
    command = compiler()
    if command is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/ceilings"
        source = str(Path(__file__).parent / "msda_ceilings.cpp")
        flags = ["-O3", "-std=c++17", "-march=native", "-ffp-contract=fast", "-w"]
        subprocess.run([*command.split(), *flags, source, "-o", program], check=True)
        lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines)}


def limit_ms(problem: Problem, limits: dict[str, float], backward: bool) -> float | None:
    """The cache-bandwidth floor: gathered blocks at the L2's speed, everything else once from memory.

    Backward reads every gathered number again and adds to a gradient of the same size (a read and a write).
    """
    if not limits:
        return None
    passes, copies = (4, 3) if backward else (1, 1)
    gathered = passes * problem.gathered_bytes / limits["l2_random_gb_per_s"]
    arithmetic = (3 if backward else 1) * problem.flops / limits["gflop_per_s"]
    memory = copies * problem.compulsory_bytes / limits["memory_gb_per_s"]
    return max(gathered, arithmetic) / 1e6 + memory / 1e6


def contenders(device: str) -> dict[str, tuple[torch.dtype, str | None]]:
    """Our variants: storage, and the instruction set to force."""
    if device == "cuda":
        return {"float32": (torch.float32, None), "bfloat16": (torch.bfloat16, None)}
    variants: dict[str, tuple[torch.dtype, str | None]] = {
        "float32": (torch.float32, None),
        "bfloat16": (torch.bfloat16, None),
    }
    if load().rf_isa() == b"avx512":
        variants["float32 avx2"] = (torch.float32, "avx2")
    return variants


def passes(problem: Problem, function: Function, dtype: torch.dtype) -> dict[str, Callable[[], Any]]:
    """The forward pass, and forward with backward, as things to call."""
    value = problem.value.to(dtype)
    leaves = [t.clone().requires_grad_() for t in (value, problem.locations, problem.weights)]
    grad_output = problem.grad_output.to(dtype)

    def forward() -> Any:
        with torch.no_grad():
            return function(value, problem.locations, problem.weights)

    def both() -> Any:
        return torch.autograd.grad(function(*leaves), leaves, grad_output.view_as(function_output))

    function_output = forward()
    return {"forward": forward, "forward+backward": both}


def compare(
    problem: Problem, peers: list[str], repeats: int, device: str, note: dict[str, Any]
) -> list[dict[str, Any]]:
    """Time our variants against the peers, taking turns."""
    native = load() if device == "cpu" else None
    mine = {name: passes(problem, ours(problem), dtype) for name, (dtype, _) in contenders(device).items()}
    expected = mine["float32"]["forward"]()
    theirs = {}
    for name in peers:
        try:
            candidate = passes(problem, PEERS[name](problem), torch.float32)
            difference = float((candidate["forward"]() - expected).abs().max())
        except (ImportError, RuntimeError) as error:
            print(f"{name} left out: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        if difference > 1e-3:
            print(f"{name} left out: it differs from ours by {difference:.2g}", file=sys.stderr)
            continue
        theirs[name] = candidate
    rows = []
    for direction in ("forward", "forward+backward"):
        times: dict[str, list[float]] = {}
        for _ in range(repeats):
            for name, candidate in theirs.items():
                times.setdefault(name, []).append(seconds(candidate[direction], device))
                for variant, (_, isa) in contenders(device).items():
                    if native is not None:
                        native.rf_use_isa(isa.encode() if isa else None)
                    for _ in range(PER_PEER_RUN):
                        times.setdefault(variant, []).append(seconds(mine[variant][direction], device))
                    if native is not None:
                        native.rf_use_isa(None)
        median = {name: 1e3 * statistics.median(values) for name, values in times.items()}
        least = {name: 1e3 * min(values) for name, values in times.items()}
        limit = (
            limit_ms(problem, note["limits"], direction == "forward+backward") if device == "cpu" else None
        )
        for variant in mine:
            for peer in theirs:
                row = {"case": problem.title, "pass": direction, "variant": variant, "peer": peer}
                row |= {key: value for key, value in note.items() if key != "limits"}
                row |= {"ours": median[variant], "theirs": median[peer], "unit": "ms"}
                row |= {
                    "ratio": median[peer] / median[variant],
                    "ratio_of_least": least[peer] / least[variant],
                }
                row |= {"gathered_mb": problem.gathered_bytes / 1e6, "mflop": problem.flops / 1e6}
                if limit is not None and note["threads"] == 1:
                    row |= {"limit_ms": limit, "fraction_of_limit": limit / median[variant]}
                rows.append(row)
    return rows


def scaling(repeats: int) -> list[dict[str, Any]]:
    """Time against the number of queries, levels and points, with the exponent of the best power law."""
    grid = [[40, 40]]
    sweeps = {
        "queries": [{"levels": grid * 4, "queries": n} for n in (4000, 8000, 16000, 32000)],
        "levels": [{"levels": grid * n, "queries": 8000} for n in (1, 2, 4, 8)],
        "points": [{"levels": grid * 4, "queries": 8000, "points": n} for n in (2, 4, 8, 16)],
    }
    rows = []
    for name, cases in sweeps.items():
        sizes, times = [], {"forward": [], "forward+backward": []}
        for case in cases:
            problem = build({"name": name, **case})
            sizes.append(
                {"queries": case["queries"], "levels": len(case["levels"])}.get(name) or case["points"]
            )
            for direction, run in passes(problem, ours(problem), torch.float32).items():
                run()
                times[direction].append(1e3 * min(seconds(run, "cpu") for _ in range(repeats * 3)))
        x = torch.tensor(sizes).double().log()
        for direction, values in times.items():
            y = torch.tensor(values).double().log()
            exponent = float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
            row = {"case": f"scaling with {name}", "pass": direction, "peer": "linear", "theirs": 1.0}
            row |= {"ours": exponent, "ratio": exponent, "unit": "exponent"}
            rows.append(row | {f"ms_at_{size}": value for size, value in zip(sizes, values, strict=True)})
    return rows


def peak_mb(name: str, direction: str) -> float:
    """Megabytes that one call on one thread adds at its peak, outputs and gradients included."""
    torch.set_num_threads(1)
    problem = build(CASES[0])
    function = ours(problem) if name == "ours" else PEERS[name](problem)
    leaves = [
        t.requires_grad_(direction != "forward") for t in (problem.value, problem.locations, problem.weights)
    ]

    def status(field: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024e-6

    def call() -> None:
        output = function(*leaves)
        if direction != "forward":
            torch.autograd.grad(output, leaves, problem.grad_output)

    call()  # loads what is loaded once
    load().rf_release_buffers()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = status("VmRSS")
    call()
    return status("VmHWM") - before


def memory() -> list[dict[str, Any]]:
    """Peak extra memory of the encoder case, each contender in its own process.

    A fixed threshold makes the C library take every large tensor from the system and give it back when freed;
    else outputs would fill memory that the set-up of the problem left behind, and not show.
    """
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    rows = []
    for direction in ("forward", "forward+backward"):
        values = []
        for name in ("ours", "grid_sample"):
            command = [sys.executable, __file__, "--peak-of", name, direction]
            result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            values.append(float(result.stdout))
        row = {"case": "encoder, extra memory", "pass": direction, "peer": "grid_sample", "unit": "MB"}
        rows.append(row | {"ours": values[0], "theirs": values[1], "ratio": values[1] / values[0]})
    return rows


def again_with_huge_pages(arguments: list[str]) -> list[dict[str, Any]]:
    """The rows of the same command in a process whose allocator uses huge pages."""
    environment = {**os.environ, "THP_MEM_ALLOC_ENABLE": "1"}
    command = [sys.executable, __file__, *arguments, "--allocators", "default", "--json"]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [row | {"allocator": "huge"} for row in json.loads(result.stdout)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--cases", type=Path, help="JSON list of cases instead of the built-in ones")
    options.add_argument("--threads", type=int, nargs="+", default=[1])
    options.add_argument("--allocators", nargs="+", choices=["default", "huge"], default=["default"])
    options.add_argument("--peers", nargs="+", choices=list(PEERS), default=["grid_sample"])
    options.add_argument("--repeats", type=int, default=3, help="runs of each peer")
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options.add_argument("--scaling", action="store_true")
    options.add_argument("--memory", action="store_true", help="peak extra memory of the encoder case")
    options.add_argument("--peak-of", nargs=2, help=argparse.SUPPRESS)
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    if args.peak_of:
        print(peak_mb(*args.peak_of))
        return
    if args.device == "cuda" and not torch.cuda.is_available():
        options.error("--device cuda: PyTorch finds no GPU here")
    torch.set_num_threads(args.threads[0])
    if args.scaling or args.memory:
        emit(scaling(args.repeats) if args.scaling else memory(), args.json, "deformable attention")
        return
    cases = json.loads(args.cases.read_text()) if args.cases else CASES
    rows: list[dict[str, Any]] = []
    limits = ceilings() if args.device == "cpu" else {}
    if limits and not args.json:
        print("measured limits of one core:", limits)
    for threads in args.threads:
        torch.set_num_threads(threads)
        for case in cases:
            note = {"threads": threads, "allocator": "default", "limits": limits}
            problem = build(case, args.device)
            rows += compare(problem, args.peers, case.get("repeats", args.repeats), args.device, note)
    if "huge" in args.allocators:
        arguments = ["--threads", *map(str, args.threads), "--repeats", str(args.repeats)]
        arguments += ["--peers", *args.peers, "--device", args.device]
        arguments += ["--cases", str(args.cases)] if args.cases else []
        rows += again_with_huge_pages(arguments)
    emit(rows, args.json, "deformable attention")


if __name__ == "__main__":
    main()
