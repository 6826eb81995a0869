"""Speed and memory of multi-scale deformable attention against its peers, and how near the machine's limits.

    python benchmarks/msda.py [--cases FILE.json] [--threads 1 2] [--allocators default huge] [--json]
    python benchmarks/msda.py --scaling          time against queries, levels and points
    python benchmarks/msda.py --device cuda      the same on a GPU, peers as far as they are installed

Implementations take turns within one process; times are medians of the elapsed ones. `ratio_of_cpu` compares
the mean time that the processors spent, which a busy machine disturbs least. `huge` repeats everything in a
process with THP_MEM_ALLOC_ENABLE=1, where fresh tensors cost fewer page faults. FILE.json holds a list of
cases as `msda_cases.CASES` describes them.

On a GPU a time is that of one of 50 calls in a row, between two events: where a call is shorter than what
Python needs to queue it, that is Python's time. `ours_graph` and `theirs_graph` are those of the same calls
as a CUDA graph, which is the GPU's alone. Rows are printed as they come: with --json one a line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_parts.timing import time_calls, time_graph
from msda_cases import CASES, Problem, build
from msda_limits import least_ms, measure_core, measure_gpu
from msda_peers import CPU_PEERS, PEERS, RUN_ONCE, Implementation, Passes, ours
from report import emit
from torch import Tensor

from relforge.kernels.msda.library import load

PER_PEER_RUN = 5  # ours is run this often per run of a peer


def seconds(run: Callable[[], Any], device: str) -> tuple[float, float]:
    """(elapsed, spent by the processors): the second does not count the waiting for a busy machine. On a GPU
    the mean of 50 calls between two events."""
    begin, spent = time.perf_counter(), time.process_time()
    if device == "cuda":
        elapsed = 1e-3 * time_calls(run, device)
        return elapsed, time.process_time() - spent
    run()
    return time.perf_counter() - begin, time.process_time() - spent


def variants(device: str) -> dict[str, tuple[torch.dtype, str | None]]:
    """Ours: storage, and the instruction set to force."""
    kinds: dict[str, tuple[torch.dtype, str | None]] = {
        "float32": (torch.float32, None),
        "bfloat16": (torch.bfloat16, None),
    }
    if device == "cuda":
        return kinds | {"float16": (torch.float16, None)}
    if load().rf_isa() == b"avx512":
        kinds["float32 avx2"] = (torch.float32, "avx2")
    return kinds


def select_agreeing(problem: Problem, names: list[str], expected: Tensor) -> dict[str, Passes]:
    """The peers that run here and agree with `expected`, each run once; a note on stderr for the others."""
    found = {}
    for name in names:
        try:
            peer = PEERS[name](problem)
            candidate = peer.passes(problem.grad_output)
            difference = (candidate["forward"]().float() - expected).square().mean().sqrt()
            relative = float(difference / expected.square().mean().sqrt())
            if not relative <= peer.tolerance:
                raise RuntimeError(f"it differs from ours by {relative:.2g}")
            candidate["forward+backward"]()  # what is compiled at first use is compiled now
            found[name] = candidate
        except Exception as error:  # whatever a package that is not ours raises, the others are measured
            print(f"{name} left out: {first_line(error)}", file=sys.stderr)
    return found


def first_line(error: Exception) -> str:
    """What an exception says, or its type where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def graph_ms(run: Callable[[], Any], device: str) -> float | None:
    """Milliseconds of a call as a CUDA graph; None on the CPU, and where it cannot be captured."""
    if device == "cpu":
        return None
    try:
        return time_graph(run, device)
    except Exception as error:
        print(f"no CUDA graph: {first_line(error)}", file=sys.stderr)
        torch.cuda.synchronize()
        return None


def compare(
    problem: Problem, names: list[str], repeats: int, device: str, note: dict[str, Any]
) -> list[dict[str, Any]]:
    """Time our variants against the peers, taking turns."""
    native = load() if device == "cpu" else None
    kinds, speeds = variants(device), note.pop("speeds")
    mine = {name: ours(problem, dtype).passes(problem.grad_output) for name, (dtype, _) in kinds.items()}
    theirs = select_agreeing(problem, names, mine["float32"]["forward"]())
    rows = []
    for direction in ("forward", "forward+backward"):
        times: dict[str, list[tuple[float, float]]] = {}
        for turn in range(repeats):
            for name, candidate in theirs.items():
                if turn == 0 or name not in RUN_ONCE:
                    times.setdefault(name, []).append(seconds(candidate[direction], device))
            for name, (_, isa) in kinds.items():
                if native is not None:
                    native.rf_use_isa(isa.encode() if isa else None)
                for _ in range(PER_PEER_RUN):
                    times.setdefault(name, []).append(seconds(mine[name][direction], device))
                if native is not None:
                    native.rf_use_isa(None)
        elapsed = {name: [1e3 * pair[0] for pair in pairs] for name, pairs in times.items()}
        median = {name: statistics.median(values) for name, values in elapsed.items()}
        least = {name: min(values) for name, values in elapsed.items()}
        spent = {name: statistics.mean(pair[1] for pair in pairs) for name, pairs in times.items()}
        graphs = {name: graph_ms(one[direction], device) for name, one in {**theirs, **mine}.items()}
        for name, (dtype, _) in kinds.items():
            limit = least_ms(problem, speeds, direction == "forward+backward", dtype.itemsize)
            for peer in theirs:
                row = {"case": problem.title, "pass": direction, "variant": name, "peer": peer, **note}
                row |= {"ours": median[name], "theirs": median[peer], "unit": "ms"}
                row |= {
                    "ratio": median[peer] / median[name],
                    "ratio_of_least": least[peer] / least[name],
                }
                row |= {"ratio_of_cpu": spent[peer] / spent[name]} if device == "cpu" else {}
                if device != "cpu":
                    row |= {"ours_graph": graphs[name], "theirs_graph": graphs[peer]}
                row |= {"gathered_mb": problem.gathered * dtype.itemsize / 1e6, "mflop": problem.flops / 1e6}
                if limit is not None and note["threads"] == 1:
                    row |= {"limit_ms": limit, "fraction_of_limit": limit / median[name]}
                rows.append(row)
    return rows


def scaling(repeats: int) -> list[dict[str, Any]]:
    """Time against the number of queries, levels and points, with the exponent of the best power law."""
    grid = [[40, 40]]
    sweeps: dict[str, list[dict[str, Any]]] = {
        "queries": [{"levels": grid * 4, "queries": n} for n in (4000, 8000, 16000, 32000)],
        "levels": [{"levels": grid * n, "queries": 8000} for n in (1, 2, 4, 8)],
        "points": [{"levels": grid * 4, "queries": 8000, "points": n} for n in (2, 4, 8, 16)],
    }
    rows = []
    for name, cases in sweeps.items():
        sizes: list[int] = []
        times: dict[str, list[float]] = {"forward": [], "forward+backward": []}
        for case in cases:
            problem = build({"name": name, **case})
            sizes.append(
                {"queries": case["queries"], "levels": len(case["levels"])}.get(name) or case["points"]
            )
            for direction, run in ours(problem).passes(problem.grad_output).items():
                run()
                times[direction].append(1e3 * min(seconds(run, "cpu")[0] for _ in range(repeats * 3)))
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
    implementation: Implementation = ours(problem) if name == "ours" else PEERS[name](problem)
    leaves = [tensor.requires_grad_(direction != "forward") for tensor in implementation.tensors]

    def status(field: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024e-6

    def call() -> None:
        output = implementation.operator(*leaves)
        if direction != "forward":
            torch.autograd.grad(output, leaves, problem.grad_output)

    call()  # loads what is loaded once
    load().rf_release_buffers()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = status("VmRSS")
    call()
    return status("VmHWM") - before


def memory() -> list[dict[str, Any]]:
    """Peak extra memory of the encoder case, each implementation in its own process.

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
    return [json.loads(line) | {"allocator": "huge"} for line in result.stdout.splitlines()]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--cases", type=Path, help="JSON list of cases instead of the built-in ones")
    options.add_argument("--threads", type=int, nargs="+", default=[1])
    options.add_argument("--allocators", nargs="+", choices=["default", "huge"], default=["default"])
    options.add_argument("--peers", nargs="+", choices=list(PEERS), help="default: all that can run")
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
    peers = args.peers or (CPU_PEERS if args.device == "cpu" else list(PEERS))
    speeds = measure_core() if args.device == "cpu" else measure_gpu()
    if speeds and not args.json:
        print("measured limits of", "one core:" if args.device == "cpu" else "the GPU:", speeds)
    for threads in args.threads:
        torch.set_num_threads(threads)
        for case in cases:
            note = {"threads": threads, "allocator": "default", "speeds": speeds}
            problem = build(case, args.device)
            found = compare(problem, peers, case.get("repeats", args.repeats), args.device, note)
            show(found, args.json)
    if "huge" in args.allocators:
        arguments = ["--threads", *map(str, args.threads), "--repeats", str(args.repeats)]
        arguments += ["--peers", *peers, "--device", args.device]
        arguments += ["--cases", str(args.cases)] if args.cases else []
        show(again_with_huge_pages(arguments), args.json)


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print the rows of a case at once, so that an end in the next one loses nothing."""
    if as_json:
        for row in rows:
            print(json.dumps(row), flush=True)
    else:
        emit(rows, False, "deformable attention")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
