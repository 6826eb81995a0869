"""C3: R-Tagger images per second on COCO's mix of sizes, against the published labelling procedure."""

from __future__ import annotations

import time

import torch
from published_tagger import published_procedure

from gpu_parts import tagger as made
from gpu_parts.recorder import Recorder
from relforge.images.detection_resize import normalise_imagenet
from relforge.stages.match.groups import GROUP_PAIRS, published_groups
from relforge.tagger.engine import Engine
from relforge.tagger.request import Request


def run(recorder: Recorder) -> None:
    count = 4 if recorder.tiny else 48 if recorder.quick else 128
    requests = made.requests(recorder, count)
    best, model = 0.0, made.prepared(recorder, torch.bfloat16)
    for batch_size in (2,) if recorder.tiny else (1, 8, 16):
        for graphs in (False,) if recorder.tiny else (False, True):
            engine = made.engine(recorder, torch.bfloat16, batch_size, graphs, model)
            engine.features.get(made.LABELS)
            # libraries choose their kernels; shapes that come again are captured
            measure(recorder, engine, requests if graphs else requests[:2])
            seconds, batches = measure(recorder, engine, requests)
            speed = count / seconds
            best = max(best, speed)
            kept = engine.padded.graphs
            details = {"mean_batch": count / batches, "graphs": len(kept.shapes) if kept else 0}
            recorder.figure(
                f"images, batches of {batch_size}, graphs {kept.note if kept else 'off'}",
                speed,
                "images/s",
                **details,
            )
    measure_published(recorder, requests[:4], best)
    if not recorder.tiny:
        recorder.text("batch", profile(engine, requests))


def measure_published(recorder: Recorder, requests: list[Request], best: float) -> None:
    """The published procedure on the same images, in float32 as published, and how many times it our best
    speed is."""
    model = made.build(recorder)
    work = []
    for request in requests:
        proposed = [(subject, object_, text, 0) for subject, object_, text in request.candidates]
        groups = published_groups(proposed, min(GROUP_PAIRS, model.max_pairs))
        work.append((request, normalise_imagenet(request.pixels.to(recorder.device))[None], groups))
    published_procedure(model, *work[0])
    begin = time.perf_counter()
    for one in work:
        published_procedure(model, *one)  # reads its scores back, so it has waited for the GPU
    speed = len(work) / (time.perf_counter() - begin)
    recorder.figure("images, published procedure", speed, "images/s", ours=best / speed)


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
