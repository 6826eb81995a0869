"""Speed and fidelity of decoding and resizing against Pillow, on real photos.

    python benchmarks/images.py FOLDER_OR_FILE... [--repeats N] [--json]

Pillow does what the published scripts do: open, convert to RGB, resize, normalise to float32. Ours leaves
8 bits, as the stages do (they normalise on the device). One thread; CPU milliseconds per image, best of
the interleaved repeats. Pixels differ nowhere from Pillow 13's; older ones order the two passes otherwise."""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from report import emit

from relforge.images import decode
from relforge.images.detection_resize import IMAGENET_MEAN, IMAGENET_STD, DetectionResize
from relforge.images.resize import resize


def _float32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


CLIP = (_float32(0.48145466, 0.4578275, 0.40821073), _float32(0.26862954, 0.26130258, 0.27577711))
IMAGENET = (_float32(*IMAGENET_MEAN), _float32(*IMAGENET_STD))
DETECTION = DetectionResize()


def pillow(data: bytes, sizes: list[str]) -> list[np.ndarray]:
    """One decode per wanted size, as two separate programs would."""
    out = []
    for size in sizes:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        if size == "384":
            image, (mean, std) = image.resize((384, 384), Image.Resampling.BICUBIC), CLIP
        else:
            height, width = DETECTION.size(image.height, image.width)
            image, (mean, std) = image.resize((width, height), Image.Resampling.BILINEAR), IMAGENET
        out.append(((np.asarray(image, dtype=np.float32) / 255 - mean) / std).transpose(2, 0, 1))
    return out


def ours(data: bytes, sizes: list[str]) -> list[torch.Tensor]:
    """One decode for all sizes."""
    pixels = decode(data)
    out = []
    for size in sizes:
        if size == "384":
            out.append(resize(pixels, 384, 384, "bicubic"))
        else:
            out.append(DETECTION(pixels))
    return out


def decode_only(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def worst(data: bytes, size: str) -> int:
    """Largest difference in grey levels from Pillow's own 8-bit result."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    height, width = (384, 384) if size == "384" else DETECTION.size(image.height, image.width)
    filter = Image.Resampling.BICUBIC if size == "384" else Image.Resampling.BILINEAR
    theirs = np.asarray(image.resize((width, height), filter)).astype(int)
    return int(np.abs(ours(data, [size])[0].permute(1, 2, 0).numpy() - theirs).max())


def _each(function: Callable[[bytes], Any], data: Sequence[bytes]) -> None:
    for one in data:
        function(one)


def milliseconds(calls: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    best = [float("inf")] * len(calls)
    for _ in range(repeats):
        for n, call in enumerate(calls):
            start = time.process_time()
            call()
            best[n] = min(best[n], time.process_time() - start)
    return [1e3 * seconds for seconds in best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = [f for p in options.images for f in (sorted(p.glob("*.jp*g")) if p.is_dir() else [p])]
    if not files:
        parser.error(f"no .jpg images in {', '.join(map(str, options.images))}")
    data = [file.read_bytes() for file in files]
    rows: list[dict[str, Any]] = []
    cases: list[tuple[str, Callable[[bytes], Any], Callable[[bytes], Any]]] = [
        ("decode", decode, decode_only),
        ("384 x 384 bicubic", lambda d: ours(d, ["384"]), lambda d: pillow(d, ["384"])),
        ("short side 800 bilinear", lambda d: ours(d, ["800"]), lambda d: pillow(d, ["800"])),
        ("both sizes", lambda d: ours(d, ["384", "800"]), lambda d: pillow(d, ["384", "800"])),
    ]
    for case, mine, theirs in cases:
        calls = [partial(_each, f, data) for f in (mine, theirs)]
        our_ms, their_ms = (ms / len(data) for ms in milliseconds(calls, options.repeats))
        row = {"case": case, "peer": "Pillow", "ours": our_ms, "theirs": their_ms, "ratio": their_ms / our_ms}
        rows.append(row | {"unit": "CPU ms per image"})
    for size in ("384", "800"):
        level = max(worst(d, size) for d in data)
        row = {"case": f"largest difference at {size}", "peer": "Pillow", "ours": level}
        rows.append(row | {"unit": "grey levels", "limit": 0})
    emit(rows, options.json, f"{len(data)} images, {sum(map(len, data)) / len(data) / 1e3:.0f} kB each")


if __name__ == "__main__":
    main()
