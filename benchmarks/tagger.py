"""Images per second of the tag stage against the published procedure: same weights, machine, candidates.

    python benchmarks/tagger.py [--json] [--model FOLDER] [--image FILE ...] [--pairs 250] [--texts 3]

Without `--model`, an R-Tagger of the published sizes with random weights (speed does not depend on their
values); without `--image`, noise. Ours and theirs run alternately, and their relations are compared first.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from published_tagger import published_procedure
from report import emit
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import RobertaConfig, RobertaModel

from relforge.images import decode, read
from relforge.images.detection_resize import DetectionResize, normalise_imagenet
from relforge.kernels.msda.dispatch import VARIABLE, choose
from relforge.models.blocks.backbone import resnet50
from relforge.models.blocks.text import TextEncoder
from relforge.models.published import load_pretrained
from relforge.models.zoo import family
from relforge.stages.match.groups import published_groups
from relforge.tagger.engine import Engine
from relforge.tagger.published_groups import label_groups
from relforge.tagger.request import Request
from relforge.tagger.text_cache import TextFeatures

CLASSES = [f"class {i}" for i in range(80)]
RELATIONS = [f"relation number {i}" for i in range(20)]


def words(text: str) -> list[int]:
    """One token id per word: speed needs no vocabulary."""
    return [0, *(5 + zlib.crc32(word.encode()) % 50000 for word in text.split()), 2]


def random_tagger() -> nn.Module:
    """The published R-Tagger on ResNet-50 (206.5 M parameters), untrained, with scores around the floor."""
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
    )
    text = TextEncoder(RobertaModel(config), words)
    entry = family("rtagger")
    model = entry.build(
        entry.sizes(), backbone=resnet50(), text_encoder=text, classes=(), relations=()
    ).eval()
    with torch.no_grad():
        model.classifier.projection.weight.mul_(4)
    return model


def request(pixels: torch.Tensor, boxes: int, pairs: int, texts: int) -> Request:
    """An image whose first `pairs` box pairs have `texts` candidates each."""
    source = torch.Generator().manual_seed(1)
    centre = 0.2 + 0.6 * torch.rand(boxes, 2, generator=source)
    size = 0.05 + 0.3 * torch.rand(boxes, 2, generator=source)
    ordered = [(s, o) for s in range(boxes) for o in range(boxes) if s != o][:pairs]
    if len(ordered) < pairs:
        raise SystemExit(f"{boxes} boxes have {len(ordered)} ordered pairs; raise --boxes for {pairs}")
    candidates = []
    for pair in ordered:
        chosen = torch.randperm(len(RELATIONS), generator=source)[:texts].tolist()
        candidates += [(*pair, RELATIONS[i]) for i in sorted(chosen)]
    labels = [CLASSES[i % len(CLASSES)] for i in range(boxes)]
    return Request("image", pixels, torch.cat([centre, size], 1), labels, candidates, CLASSES)


def load_images(paths: list[str], short: int, long: int) -> list[torch.Tensor]:
    """3 x H x W uint8 at the tagger's scale."""
    if paths:
        return [DetectionResize(short, long)(decode(read(path))) for path in paths]
    height, width = DetectionResize(short, long).size(480, 640)
    noise = torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(2))
    return [noise.to(torch.uint8)]


def with_kernel(name: str, call: Callable[[], Any]) -> Callable[[], Any]:
    """`call` with one deformable attention kernel."""

    def run() -> Any:
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = name
        try:
            return call()
        finally:
            os.environ.pop(VARIABLE)
            if before is not None:
                os.environ[VARIABLE] = before

    return run


def medians(calls: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Median seconds of each call; they take turns, so that a busy machine is busy for all."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, times, strict=True):
            started = time.perf_counter()
            call()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]


def parts(engine: Engine, sample: Request) -> dict[str, float]:
    """Seconds of one image by part."""
    model: Any = engine.model  # an R-Tagger, whose parts are timed by name
    named: dict[str, Any] = {
        "backbone": model.backbone,
        "encoder": model.encoder,
        "entity decoder": model.entity_decoder,
        "relation decoder": model.relation_decoder,
    }
    spent = dict.fromkeys(named, 0.0)
    handles = []
    for name, module in named.items():
        watched = module.layers if hasattr(module, "layers") and "decoder" in name else [module]
        for part in watched:
            begun: list[float] = []
            handles.append(part.register_forward_pre_hook(lambda *_, b=begun: b.append(time.perf_counter())))

            def done(*_: Any, b: list[float] = begun, name: str = name) -> None:
                spent[name] += time.perf_counter() - b.pop()

            handles.append(part.register_forward_hook(done))
    started = time.perf_counter()
    list(engine.run([sample]))
    spent["rest"] = time.perf_counter() - started - sum(spent.values())
    for handle in handles:
        handle.remove()
    return spent


def flop_rate() -> float:
    """FLOP per second of a 2,048-cube float32 GEMM here, the best of five."""
    a = torch.randn(2048, 2048)
    a @ a
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        a @ a
        best = max(best, 2 * 2048**3 / (time.perf_counter() - started))
    return best


def _run(engine: Engine, requests: list[Request]) -> None:
    for _ in engine.run(requests):
        pass


def peak_mib(call: Callable[[], Any]) -> float:
    """Peak resident memory of a call above what the process held before (Linux)."""
    status = Path("/proc/self/status")

    def field(name: str) -> float:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if name in line) / 1024

    ctypes.CDLL(None).malloc_trim(0)  # freed memory that the allocator kept would hide the peak
    Path("/proc/self/clear_refs").write_text("5")
    before = field("VmRSS")
    call()
    return field("VmHWM") - before


def speed_rows(engine: Engine, sample: Request, rounds: int) -> list[dict[str, Any]]:
    indexed = [(s, o, text, i) for i, (s, o, text) in enumerate(sample.candidates)]
    groups = published_groups(indexed)
    images = normalise_imagenet(sample.pixels)[None]

    def theirs() -> Any:
        return published_procedure(engine.model, sample, images, groups)

    def union() -> Any:
        return label_groups(engine, sample, groups)

    # the published numbers are those of the union, so both must keep the same relations; also warms up
    same = [(row.pair, row.text) for row in union()] == [row[:2] for row in theirs()]
    native = choose("cpu", torch.float32)
    own, own_union, core, ours_kernel = medians(
        [
            lambda: list(engine.run([sample])),
            union,
            with_kernel("reference", theirs),
            with_kernel(native, theirs),
        ],
        rounds,
    )
    cases = [
        ("own candidates", own, "published, PyTorch core", core),
        ("own candidates", own, f"published, our {native} kernel", ours_kernel),
        ("union (compat)", own_union, "published, PyTorch core", core),
    ]
    return [
        {
            "case": case,
            "peer": peer,
            "ours": 1 / a,
            "theirs": 1 / b,
            "ratio": b / a,
            "unit": "images/s",
            "groups": len(groups),
            "same_relations_as_union": same,
        }
        for case, a, peer, b in cases
    ]


def floor_row(engine: Engine, sample: Request, rounds: int) -> dict[str, Any]:
    with FlopCounterMode(display=False) as counter:
        list(engine.run([sample]))
    flops, rate = counter.get_total_flops(), flop_rate()
    (seconds,) = medians([lambda: list(engine.run([sample]))], rounds)
    return {
        "case": "FLOP floor",
        "peer": "float32 matrix product",
        "ours": 1 / seconds,
        "theirs": rate / flops,
        "ratio": flops / rate / seconds,
        "limit": rate / flops,
        "fraction_of_limit": flops / rate / seconds,
        "unit": "images/s",
        "gflop_per_image": flops / 1e9,
        "gflop_per_s": rate / 1e9,
    }


def memory_rows(engine: Engine, pixels: torch.Tensor, boxes: int, texts: int) -> list[dict[str, Any]]:
    rows = []
    for batch_size, decoder_batches, pairs in (
        (1, 16, 100),
        (1, 16, 350),
        (1, 1, 350),
        (2, 16, 350),
        (4, 16, 350),
    ):
        engine.batch_size, engine.decoder_batches = batch_size, decoder_batches
        requests = [request(pixels, boxes, pairs, texts) for _ in range(batch_size)]
        peak = peak_mib(partial(_run, engine, requests))
        case = f"peak memory: {batch_size} images, {pairs} pairs, {decoder_batches} decoder batches at a time"
        rows.append({"case": case, "peer": "", "ours": peak, "unit": "MiB above the weights"})
    engine.batch_size, engine.decoder_batches = 1, 16
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model folder or published .pth")
    parser.add_argument("--image", action="append", default=[], help="image file; repeatable")
    parser.add_argument("--short-side", type=int, default=320)
    parser.add_argument("--long-side", type=int, default=533)
    parser.add_argument("--boxes", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=250)
    parser.add_argument("--texts", type=int, default=3, help="candidates per pair")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--memory", action="store_true", help="also measure peak memory")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    model = load_pretrained(options.model).model if options.model else random_tagger()
    engine = Engine(model, TextFeatures(model.text_encoder, "0" * 64))
    rows: list[dict[str, Any]] = []
    for pixels in load_images(options.image, options.short_side, options.long_side):
        sample = request(pixels, options.boxes, options.pairs, options.texts)
        list(engine.run([sample]))  # fills the text cache, builds the kernel
        rows += speed_rows(engine, sample, options.rounds)
        rows.append(floor_row(engine, sample, options.rounds))
        for part, seconds in parts(engine, sample).items():
            rows.append({"case": f"part: {part}", "peer": "", "ours": seconds * 1000, "unit": "ms"})
        if options.memory:
            rows += memory_rows(engine, pixels, options.boxes, options.texts)
    emit(rows, options.json, "tag stage")


if __name__ == "__main__":
    main()
