"""C5: images decoded and resized per second by threads, and their upload to the GPU."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from PIL import Image

from gpu_parts.recorder import Recorder
from gpu_parts.timing import time_calls
from relforge.images import decode
from relforge.images.detection_resize import DetectionResize
from relforge.images.resize import resize


def jpeg(height: int, width: int, seed: int) -> bytes:
    """A drawn image with smooth areas and noise, about as large as a photo's file."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 37 + seed), np.cos(y / 23), np.sin((x + y) / 51)], -1) * 90 + 128
    pixels = (waves + generator.normal(0, 12, waves.shape)).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def run(recorder: Recorder) -> None:
    size = (48, 64) if recorder.tiny else (480, 640)
    files = [jpeg(*size, seed) for seed in range(2 if recorder.tiny else 16)]
    detection = DetectionResize()
    uses = {
        "captioner, 384 x 384 bicubic": lambda data: resize(decode(data), 384, 384, "bicubic"),
        "tagger, 800 to 1333": lambda data: detection(decode(data)),
    }
    for use, function in uses.items():
        for threads in (1, 2) if recorder.tiny else (1, 2, 4, 8, 16):
            work = files * (1 if recorder.tiny else max(2, threads) * (1 if recorder.quick else 2))
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(function, files[:1]))
                begin = time.perf_counter()
                list(pool.map(function, work))
                spent = time.perf_counter() - begin
            recorder.figure(use, len(work) / spent, "images/s", threads=threads, size=f"{size[0]}x{size[1]}")
    if recorder.device != "cuda":
        return
    for pinned in (False, True):
        batch = torch.empty((16, 800, 1066, 3), dtype=torch.uint8, pin_memory=pinned)
        target = torch.empty_like(batch, device="cuda")
        copy = partial(target.copy_, batch, non_blocking=True)
        spent = time_calls(copy, "cuda", recorder.calls(20))
        recorder.figure("upload", batch.numel() / spent / 1e6, "GB/s", pinned=pinned)
