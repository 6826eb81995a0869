"""C2: captioner images per second against transformers' generate, and where the time goes."""

from __future__ import annotations

import time

import torch
from torch import Tensor
from transformers import BlipForConditionalGeneration

from gpu_parts import captioner as made
from gpu_parts.recorder import Recorder
from gpu_parts.timing import time_calls
from relforge.images.resize import normalise
from relforge.models.blip.captioner import BlipCaptioner
from relforge.models.blip.checkpoint import Checkpoint
from relforge.models.blip.gpu_sampler import GpuSampler

USEFUL = 0.444
"""TFLOP of one image of BLIP-large with 10 captions."""


@torch.inference_mode()
def run(recorder: Recorder) -> None:
    peak = _measure_peak(recorder)
    model, checkpoint = made.build(recorder)
    best = 0.0
    for rows in (8,) if recorder.tiny else (640, 960, 1280):
        for graphs in (False,) if recorder.tiny else (False, True):
            own = made.captioner(recorder, checkpoint, rows=rows, graphs=graphs)
            label = f"{rows} rows, graphs {own.notes['graphs']}"
            best = max(best, _measure_speed(recorder, own, checkpoint, label, peak))
            if rows in (8, 640):
                _measure_parts(recorder, own, checkpoint, label)
    _measure_generate(recorder, model, checkpoint, best)
    if not recorder.tiny:
        recorder.text("step", _profile(recorder, checkpoint))


def _measure_peak(recorder: Recorder) -> float:
    """TFLOP/s of a square product."""
    side, dtype = (64, torch.float32) if recorder.tiny else (8192, torch.bfloat16)
    matrix = torch.ones(side, side, device=recorder.device, dtype=dtype)
    milliseconds = time_calls(lambda: matrix @ matrix, recorder.device, recorder.calls(20))
    peak = 2 * side**3 / milliseconds / 1e9
    recorder.figure("square product", peak, "TFLOP/s", side=side)
    return peak


def _measure_speed(
    recorder: Recorder, own: BlipCaptioner, checkpoint: Checkpoint, label: str, peak: float
) -> float:
    """Images per second from memory, after a warm-up."""
    count = 2 if recorder.tiny else 64 if recorder.quick else 128
    if not recorder.tiny:
        made.run(recorder, own, checkpoint, range(16))
    prepared = list(made.images(recorder, checkpoint, range(count)))
    begin = time.perf_counter()
    found = dict(own.run(iter(prepared)))
    speed = count / (time.perf_counter() - begin)
    tokens = sum(len(one.text.split()) for captions in found.values() for one in captions)
    recorder.figure(f"images, {label}", speed, "images/s", tokens_per_image=tokens / count)
    if not recorder.tiny:
        recorder.figure(f"share of the peak, {label}", 100 * speed * USEFUL / peak, "%")
    return speed


def _measure_generate(
    recorder: Recorder, model: BlipForConditionalGeneration, checkpoint: Checkpoint, best: float
) -> None:
    """The peer on four images, in the captioner's type: `generate` called once per caption, and all captions
    of an image in one call; and how many times it our best speed is."""
    settings = made.settings(recorder)
    captions, count = made.captions(recorder), 2 if recorder.tiny else 4
    own = model.to(torch.float32 if recorder.tiny else torch.bfloat16)
    pixels = [
        normalise(one[None].to(recorder.device), checkpoint.mean, checkpoint.std).to(own.dtype)
        for *_, one in made.images(recorder, checkpoint, range(count))
    ]
    # transformers puts [DEC] in the place of the first token and cuts the last one
    ids = torch.tensor([[*checkpoint.prompt, checkpoint.shape.text.eos]], device=recorder.device)
    sampling = {"do_sample": True, "top_p": settings.top_p, "top_k": settings.top_k}
    sampling |= {"repetition_penalty": settings.repetition_penalty, "temperature": settings.temperature}
    sampling |= {"min_length": settings.min_length, "max_length": settings.max_length}

    def generate(image: Tensor, together: int) -> list[Tensor]:
        return [
            own.generate(pixel_values=image, input_ids=ids, num_return_sequences=together, **sampling)
            for _ in range(captions // together)
        ]

    for together, label in ((1, f"{captions} calls of generate"), (captions, "one call of generate")):
        own.generate(pixel_values=pixels[0], input_ids=ids, num_return_sequences=together, **sampling)
        begin = time.perf_counter()
        rows = [len(one) for image in pixels for one in generate(image, together)]
        if recorder.device == "cuda":
            torch.cuda.synchronize()
        speed = count / (time.perf_counter() - begin)
        recorder.check(f"{label} an image writes its captions", sum(rows) == count * captions)
        recorder.figure(f"images, {label} an image", speed, "images/s", ours=best / speed)


def _measure_parts(recorder: Recorder, own: BlipCaptioner, checkpoint: Checkpoint, label: str) -> None:
    """Milliseconds of each kind of work."""
    sampler = own.strategy
    assert isinstance(sampler, GpuSampler)
    batch = torch.stack([one.permute(1, 2, 0) for *_, one in made.images(recorder, checkpoint, range(16))])
    encoded = own._encode_rows(batch)
    entries = sampler.inputs[0][: len(encoded)]
    parts = {
        "vision of 16 images": lambda: own._encode_rows(batch),
        "keys and values of 16 images": lambda: sampler.fused.write_images(entries, encoded),
        "prompts of a batch": sampler.begin,
        "decoding step": sampler.advance,
    }
    for name, part in parts.items():
        recorder.figure(f"{name}, {label}", time_calls(part, recorder.device, recorder.calls(20)), "ms")


def _profile(recorder: Recorder, checkpoint: Checkpoint) -> str:
    """The 25 longest kernels of one decoding step."""
    sampler = made.captioner(recorder, checkpoint, graphs=False).strategy
    assert isinstance(sampler, GpuSampler)
    sampler._advance()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        sampler._advance()
        torch.cuda.synchronize()
    return profile.key_averages().table(sort_by="cuda_time_total", row_limit=25)
