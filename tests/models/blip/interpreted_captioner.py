"""A captioner that works as on a GPU, on the CPU under Triton's interpreter (see `test_gpu_sampler.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from relforge.models.blip.captioner import BlipCaptioner, Caption
from relforge.models.blip.checkpoint import load
from relforge.models.blip.gpu_sampler import GpuSampler
from relforge.models.blip.settings import Nucleus
from relforge.models.blip.uniform import derive_random_key

CPU = torch.device("cpu")
SETTINGS = Nucleus(max_length=8)
Pixels = Callable[[int], torch.Tensor]


def run(captioner: BlipCaptioner, pixels: Pixels, order: Iterable[int]) -> dict[str, list[Caption]]:
    return dict(captioner.run((str(n), derive_random_key(0, str(n)), pixels(n)) for n in order))


def test_captions_are_those_of_the_cpu_whatever_the_batch(folder: Path, pixels: Pixels) -> None:
    checkpoint = load(str(folder))
    cpu = BlipCaptioner(checkpoint, SETTINGS, 3, CPU, rows=8)
    gpu = BlipCaptioner(checkpoint, SETTINGS, 3, CPU, rows=8, on_gpu=True)
    assert isinstance(gpu.strategy, GpuSampler)
    expected, found = run(cpu, pixels, range(3)), run(gpu, pixels, range(3))
    assert {key: [one.text for one in captions] for key, captions in found.items()} == {
        key: [one.text for one in captions] for key, captions in expected.items()
    }
    for key, captions in expected.items():
        for one, other in zip(captions, found[key], strict=True):
            assert abs(one.logprob - other.logprob) < 1e-4

    assert run(gpu, pixels, [2]) == {"2": found["2"]}
    assert len(gpu.strategy.free_entries) == gpu.strategy.spare
    assert not any(gpu.strategy.owners)
