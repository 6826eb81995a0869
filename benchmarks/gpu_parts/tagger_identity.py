"""B4: how far a score moves with the other images of its batch and with its place among them, and whether a
graph gives the bits of single launches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from gpu_parts import tagger as made
from gpu_parts.recorder import Recorder
from relforge.tagger.engine import BATCH_NOISE, Engine
from relforge.tagger.request import Request, Result


def run(recorder: Recorder) -> None:
    size = 2 if recorder.tiny else 8
    for dtype in (torch.float32, torch.bfloat16):
        engine = made.engine(recorder, dtype, size)
        one, *others = made.requests(recorder, size)
        others = [replace(other, pixels=one.pixels.flip(2).roll(i, 1)) for i, other in enumerate(others)]
        alone = scores(engine, [one])
        worst = 0.0
        for place in range(0, size, 1 if recorder.tiny or not recorder.quick else 4):
            batch = [*others[:place], one, *others[place:]]
            worst = max(worst, float(np.abs(scores(engine, batch) - alone).max()))
        repeated = [replace(one, image_id=f"copy {i}") for i in range(size - 1)]
        copies = float(np.abs(scores(engine, [*repeated, one]) - alone).max())
        name = str(dtype).removeprefix("torch.")
        recorder.figure(f"largest difference among other images, {name}", worst)
        recorder.figure(f"largest difference among copies of itself, {name}", copies)
        recorder.check(f"scores among others stay within the margin, {name}", worst <= BATCH_NOISE[dtype],
                       difference=worst, margin=BATCH_NOISE[dtype])  # fmt: skip
    if recorder.device == "cuda":
        compare_graphs(recorder, size)


def compare_graphs(recorder: Recorder, size: int) -> None:
    """Whether a batch that is replayed as a CUDA graph gives the bits of the same batch kernel by kernel."""
    batch = made.requests(recorder, size)
    batch = [replace(one, pixels=batch[0].pixels.roll(i, 1)) for i, one in enumerate(batch)]
    eager, graphed = (made.engine(recorder, torch.bfloat16, size, graphs=graphs) for graphs in (False, True))
    expected, graphs = scores(eager, batch), graphed.padded.graphs
    assert graphs is not None
    found = [scores(graphed, batch) for _ in range(4)]  # single kernels, the capture, replays
    recorder.check("the tagger's shapes are captured", bool(graphs.shapes), graphs=graphs.note)
    recorder.check(
        "a replay gives the bits of single launches, tagger",
        all(np.array_equal(one, expected) for one in found),
    )


def scores(engine: Engine, batch: list[Request]) -> np.ndarray:
    """Relation scores of image 0, computed with the others."""
    for result in engine.run(batch):
        if result.image_id == "0":
            assert isinstance(result, Result), result
            return result.scores
    raise AssertionError("image 0 has no result")
