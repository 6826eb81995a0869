"""C6: captioner and tagger as two processes on one GPU at once, against each alone."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

from gpu_parts.recorder import Recorder

STAGES = ("captioner", "tagger")


def work(stage: str, folder: str, device: str, quick: bool, barrier: Any, results: Any) -> None:
    """In a process of its own: images per second of one stage, once all have warmed up."""
    import torch

    from gpu_parts import captioner, tagger

    recorder = Recorder("C6", Path(folder), device, quick)
    torch.set_num_threads(1)
    count = 2 if recorder.tiny else 32 if quick else 96
    if stage == "captioner":
        _, checkpoint = captioner.build(recorder)
        model = captioner.captioner(recorder, checkpoint)
        images = list(captioner.images(recorder, checkpoint, range(count)))

        def run() -> int:
            return len(list(model.run(iter(images))))

    else:
        engine = tagger.engine(recorder, torch.float32 if recorder.tiny else torch.bfloat16, 8)
        requests = tagger.requests(recorder, count)

        def run() -> int:
            return len(list(engine.run(requests)))

    if not recorder.tiny:
        run()
    barrier.wait(120)
    begin = time.perf_counter()
    done = run()
    results.put((stage, done / (time.perf_counter() - begin)))


def measure(recorder: Recorder, stages: tuple[str, ...]) -> dict[str, float]:
    """Images per second of stages that run at once."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(len(stages)), context.Queue()
    rest = (str(recorder.folder), recorder.device, recorder.quick, barrier, results)
    processes = [context.Process(target=work, args=(stage, *rest)) for stage in stages]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=180) for _ in stages)
    for process in processes:
        process.join()
    return found


def run(recorder: Recorder) -> None:
    together = measure(recorder, STAGES)
    recorder.check("both stages end", set(together) == set(STAGES))
    if recorder.tiny:
        recorder.figure("captioner and tagger at once", "ran", "")
        return
    for stage in STAGES:
        alone = measure(recorder, (stage,))[stage]
        recorder.figure(f"{stage} alone", alone, "images/s")
        recorder.figure(f"{stage} beside the other", together[stage], "images/s")
        recorder.figure(f"{stage} keeps", 100 * together[stage] / alone, "%")
