"""Data loading of the trainer against the published operations, and the padding of its batches.

    python benchmarks/training_loading.py FOLDER_OF_PHOTOS [--batch 8] [--repeats 5] [--json]
    python benchmarks/training_loading.py --sizes COCO_JSON [--batch 8] [--json]

The published operations (DETR's, in all of the line) are written here as its code does them: Pillow decodes,
mirrors and resizes to a drawn short side; the image becomes float32 between 0 and 1, is normalised, and is
copied into a batch of zeros with its mask. Ours leaves the batch as 8 bits, as the trainer's threads do; the
second row adds the normalising and the mask, which are the device's work, on the CPU. One thread; CPU
milliseconds per image, the best of interleaved repeats.

`--sizes` counts the share of a batch's pixels that is no padding, at the published short sides (480 to 800,
at most 1333): in the published order, and by aspect ratio. COCO_JSON has `images` with `width` and `height`.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from report import emit
from torch import Tensor

from relforge.data.batches import BatchOptions
from relforge.data.order import Order
from relforge.data.relations import Example
from relforge.data.transforms import load_pixels, normalise_together, pad_together
from relforge.data.views import View
from relforge.images.detection_resize import IMAGENET_MEAN, IMAGENET_STD, DetectionResize

SHORT_SIDES, LONG_SIDE = BatchOptions().short_sides, BatchOptions().long_side
MEAN, STD = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
NOTHING = np.zeros((0, 4), np.float32)


def published(data: Sequence[bytes], views: Sequence[View]) -> tuple[Tensor, Tensor]:
    """Batch and mask, by the published operations."""
    images = []
    for one, view in zip(data, views, strict=True):
        image = Image.open(io.BytesIO(one)).convert("RGB")
        if view.mirror:
            image = ImageOps.mirror(image)
        height, width = DetectionResize(view.short_side, view.long_side).size(image.height, image.width)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        images.append(pixels.sub_(MEAN).div_(STD))
    height, width = (max(image.shape[side] for image in images) for side in (1, 2))
    batch = torch.zeros(len(images), 3, height, width)
    mask = torch.ones(len(images), height, width, dtype=torch.bool)
    for image, place, hidden in zip(images, batch, mask, strict=True):
        place[:, : image.shape[1], : image.shape[2]].copy_(image)
        hidden[: image.shape[1], : image.shape[2]] = False
    return batch, mask


def ours(examples: Sequence[Example], views: Sequence[View]) -> tuple[Tensor, list[tuple[int, int]]]:
    """A batch of 8 bits and the images' sizes, as a loading thread makes them."""
    images = [load_pixels(example, view) for example, view in zip(examples, views, strict=True)]
    return pad_together(images), [(int(image.shape[1]), int(image.shape[2])) for image in images]


def compare_loading(files: Sequence[Path], size: int, repeats: int) -> list[dict[str, Any]]:
    """CPU milliseconds per image of both, over all whole batches of the files; equal batches."""
    rng = np.random.default_rng(0)
    batches = []
    for first in range(0, len(files) - size + 1, size):
        data = [file.read_bytes() for file in files[first : first + size]]
        drawn = rng.choice(SHORT_SIDES, size)
        views = [View(int(side), LONG_SIDE, bool(rng.random() < 0.5)) for side in drawn]
        examples = [
            Example(None, one, Image.open(io.BytesIO(one)).size, NOTHING, NOTHING[:, 0], NOTHING[:, :2], [])
            for one in data
        ]
        batches.append((data, examples, views))
    calls: list[Callable[[], object]] = [
        lambda: [ours(examples, views) for _, examples, views in batches],
        lambda: [normalise_together(*ours(examples, views)) for _, examples, views in batches],
        lambda: [published(data, views) for data, _, views in batches],
    ]
    seconds = best_of(calls, repeats)
    whole, theirs = zip(
        *((normalise_together(*ours(e, views))[0], published(d, views)[0]) for d, e, views in batches),
        strict=True,
    )
    difference = max(float((one - two).abs().max()) for one, two in zip(whole, theirs, strict=True))
    count, unit = size * len(batches), "CPU ms per image"
    milliseconds = [1e3 * one / count for one in seconds]
    cases = ("8-bit batch", "the same, normalised on the CPU")
    return [
        {"case": case, "peer": "published operations", "ours": mine, "theirs": milliseconds[2]}
        | {"ratio": milliseconds[2] / mine, "unit": unit, "values differ by": difference}
        for case, mine in zip(cases, milliseconds, strict=False)
    ]


def best_of(calls: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Fewest processor seconds of each; they take turns."""
    best = [float("inf")] * len(calls)
    for _ in range(repeats):
        for place, call in enumerate(calls):
            began = time.process_time()
            call()
            best[place] = min(best[place], time.process_time() - began)
    return best


def useful_pixels(shapes: np.ndarray, size: int, epochs: int = 1) -> list[dict[str, Any]]:
    """Share of the batches' pixels that is an image's, in either order.

    Args:
        shapes: N x 2, width and height of the images.
    """
    aspects = shapes[:, 0] / shapes[:, 1]
    shares = []
    for order in (Order(len(shapes), size, 0, aspects=aspects), Order(len(shapes), size, 0)):
        own = padded = 0
        rng = np.random.default_rng(1)
        for step in range(epochs * order.steps_per_epoch):
            rows = order.examples(step)
            drawn = rng.choice(SHORT_SIDES, size)
            if order.by_aspect:
                drawn[:] = drawn[0]
            found = np.array(
                [
                    DetectionResize(int(side), LONG_SIDE).size(int(height), int(width))
                    for side, (width, height) in zip(drawn, shapes[rows], strict=True)
                ]
            )
            own += int(found.prod(1).sum())
            padded += int(found.max(0).prod()) * size
        shares.append(own / padded)
    row = {"case": "useful pixels", "peer": "published order", "ours": shares[0], "theirs": shares[1]}
    return [row | {"ratio": shares[0] / shares[1], "unit": "of a batch"}]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("images", nargs="?", type=Path, help="folder of photos")
    options.add_argument("--sizes", type=Path, help="JSON with images")
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    torch.set_num_threads(1)
    rows = []
    if args.images is not None:
        files = sorted(args.images.glob("*.jp*g"))
        if len(files) < args.batch:
            options.error(f"{args.images} has {len(files)} photos, fewer than a batch of {args.batch}")
        rows += compare_loading(files, args.batch, args.repeats)
    if args.sizes is not None:
        images = json.loads(args.sizes.read_text())["images"]
        shapes = np.array([[image["width"], image["height"]] for image in images])
        rows += useful_pixels(shapes, args.batch)
    if not rows:
        options.error("give a folder of photos, or --sizes")
    emit(rows, args.json, f"batches of {args.batch}")


if __name__ == "__main__":
    main()
