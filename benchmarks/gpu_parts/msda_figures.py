"""C1: deformable attention forward and backward against its peers, by program shape, and the GPU's limits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from msda import first_line, select_agreeing
from msda_cases import PYRAMID, Problem, build
from msda_limits import least_ms, measure_gpu
from msda_peers import PEERS, fused, ours
from original_schedule import original_schedule
from torch import Tensor

from gpu_parts.recorder import Recorder
from gpu_parts.timing import time_calls, time_graph
from relforge.kernels.msda import triton_launch
from relforge.kernels.msda.shapes import check

CASES: list[dict[str, Any]] = [
    {"name": "encoder", "levels": PYRAMID, "sampling": "local"},
    {"name": "decoder", "levels": PYRAMID, "queries": 200},
    {"name": "encoder", "levels": PYRAMID, "sampling": "uniform"},
    {"name": "encoder", "levels": PYRAMID, "sampling": "local", "batch": 8},
]
TINY: list[dict[str, Any]] = [
    {"name": "tiny", "levels": [[3, 4], [2, 2]], "queries": 3, "heads": 1, "channels": 16, "points": 2}
]
FORWARD_SHAPES = ((16, 1), (32, 1), (32, 4), (64, 4), (128, 4))
BACKWARD_SHAPES = ((8, 1), (16, 2), (32, 4), (64, 4), (16, 4))


def record(recorder: Recorder, name: str, run: Callable[[], Any], **details: Any) -> None:
    """The time of a call and of its graph; what cannot run is a figure without a value."""
    for kind, clock in (("calls", time_calls), ("graph", time_graph)):
        if kind == "graph" and recorder.tiny:
            continue
        try:
            value = clock(run, recorder.device, recorder.calls(50))
        except Exception as error:
            recorder.figure(name, None, "ms", timed=kind, reason=first_line(error), **details)
            if recorder.device == "cuda":
                torch.cuda.synchronize()
        else:
            recorder.figure(name, value, "ms", timed=kind, **details)


def program_shapes(recorder: Recorder, problem: Problem) -> None:
    """Both fused kernels without dispatch, in bfloat16, by (queries, warps) of a program."""
    implementation = fused(problem, torch.bfloat16)
    value, offsets, logits = implementation.tensors
    reference = problem.locations.mean((2, 4)).contiguous()
    sizes = check(value, problem.levels, offsets, logits)
    upstream = problem.grad_output.to(value.dtype)
    inputs = (value, offsets, logits, reference)
    for shape in FORWARD_SHAPES[: 1 if recorder.tiny else None]:
        for clamped in (False, True):
            run = partial(triton_launch.forward, sizes, *inputs, shape=shape, clamped=clamped)
            title = f"forward kernel, {shape[0]} queries x {shape[1]} warps"
            record(recorder, title, run, case=problem.title, clamped=clamped)
    for shape in BACKWARD_SHAPES[: 1 if recorder.tiny else None]:
        run_backward = partial(triton_launch.backward, sizes, upstream, *inputs, shape=shape)
        title = f"backward kernel, {shape[0]} queries x {shape[1]} warps"
        record(recorder, title, run_backward, case=problem.title)


def compare(recorder: Recorder, problem: Problem, speeds: dict[str, float], peers: list[str]) -> None:
    """Ours in float32 and bfloat16, fused and not, and every peer that is installed and agrees."""
    mine: dict[str, Any] = {
        "float32": ours(problem),
        "bfloat16": ours(problem, torch.bfloat16),
        "fused float32": fused(problem, torch.float32),
        "fused bfloat16": fused(problem, torch.bfloat16),
    }
    for name, implementation in mine.items():
        passes = implementation.passes(problem.grad_output)
        for direction, run in passes.items():
            storage = implementation.tensors[0].element_size()
            limit = least_ms(problem, speeds, direction != "forward", storage)
            record(recorder, f"ours, {name}", run, case=problem.title, direction=direction, limit_ms=limit)
    expected: Tensor = mine["float32"].passes(problem.grad_output)["forward"]().float()
    for name in peers:
        found = select_agreeing(problem, [name], expected)
        for direction, run in found.get(name, {}).items():
            record(recorder, name, run, case=problem.title, direction=direction)
        if not found:
            why = f"not installed, or it failed: {recorder.part}.log says"
            recorder.figure(name, None, "ms", case=problem.title, reason=why)


def run(recorder: Recorder) -> None:
    speeds = measure_gpu(recorder.device, side=64 if recorder.tiny else 8192)
    for name, speed in speeds.items():
        recorder.figure(f"limit: {name}", speed)
    cases = TINY if recorder.tiny else CASES[:2] if recorder.quick else CASES
    peers = [name for name in PEERS if name != "torch.compile of grid_sample"]
    for place, case in enumerate(cases):
        problem = build(case, recorder.device)
        compare(recorder, problem, speeds, peers if place < 2 else ["grid_sample", "original CUDA op"])
        if place == 0:
            program_shapes(recorder, problem)
        if recorder.device == "cuda":
            name = "schedule of the original op (a thread a channel), our stand-in"
            try:
                stand_in = original_schedule(problem)
            except Exception as error:
                recorder.figure(name, None, "ms", case=problem.title, reason=first_line(error))
            else:
                record(recorder, name, stand_in, case=problem.title, direction="forward")
