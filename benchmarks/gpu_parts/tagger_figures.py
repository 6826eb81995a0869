"""C3: R-Tagger images per second on COCO's mix of sizes."""

from __future__ import annotations

import time

import torch

from gpu_parts import tagger as made
from gpu_parts.recorder import Recorder
from relforge.tagger.engine import Engine
from relforge.tagger.request import Request


def run(recorder: Recorder) -> None:
    count = 4 if recorder.tiny else 48 if recorder.quick else 128
    dtype = torch.float32 if recorder.tiny else torch.bfloat16
    for batch_size in (2,) if recorder.tiny else (1, 8, 16):
        engine = made.engine(recorder, dtype, batch_size)
        requests = made.requests(recorder, count)
        engine.features.get(made.LABELS)
        measure(recorder, engine, requests[:2])  # libraries choose their kernels
        seconds, batches = measure(recorder, engine, requests)
        label = f"batches of {batch_size}"
        recorder.figure(f"images, {label}", count / seconds, "images/s", mean_batch=count / batches)
    if not recorder.tiny:
        recorder.text("batch", profile(engine, requests))


def measure(recorder: Recorder, engine: Engine, requests: list[Request]) -> tuple[float, int]:
    """Seconds and number of batches."""
    batches, compute = 0, engine._compute

    def counted(batch: list[Request]) -> object:
        nonlocal batches
        batches += 1
        return compute(batch)

    engine._compute = counted
    begin = time.perf_counter()
    results = list(engine.run(requests))
    seconds = time.perf_counter() - begin
    engine._compute = compute
    recorder.check("every image has a result", len(results) == len(requests))
    return seconds, batches


def profile(engine: Engine, requests: list[Request]) -> str:
    """The 25 longest kernels of one batch."""
    size = requests[0].pixels.shape
    batch = [one for one in requests if one.pixels.shape == size][: engine.batch_size]
    engine._compute(batch).results()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as measured:
        engine._compute(batch).results()
    return measured.key_averages().table(sort_by="cuda_time_total", row_limit=25)
