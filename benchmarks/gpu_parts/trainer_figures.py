"""C4: training steps per second, what they wait for data, and a resume with the average of the weights."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import nn
from transformers import AutoConfig, AutoModel

from gpu_parts.recorder import Recorder
from relforge.data.batches import Batch, Batches, BatchOptions
from relforge.data.relations import RelationData
from relforge.models.blocks.backbone import build_backbone
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import TextEncoder
from relforge.models.zoo import family
from relforge.trainer import loop
from relforge.trainer.optimiser import Average, Optimisation
from relforge.trainer.processes import Processes

KIND = "rtagger"
CLASSES, PREDICATES = [f"class {row}" for row in range(150)], [f"relation {row}" for row in range(50)]
TINY: dict[str, Any] = {"dim": 64, "heads": 2, "encoder_layers": 2, "fusions": 2, "decoder_layers": 2}
TINY |= {"feedforward": 64, "fusion_dim": 64, "language_heads": 2, "language_feedforward": 64, "pairs": 16}
TINY_BACKBONE = {"family": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1] * 4}
TINY_TEXT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
PAIRS = 8


def tokenize(label: str) -> list[int]:
    """A token a letter, within any vocabulary."""
    return [0, *(4 + ord(letter) % 60 for letter in label), 2]


def make_data(count: int, side: int) -> RelationData:
    """Images in memory, of four aspect ratios, each with `PAIRS` pairs of boxes."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        shape = ((3, 4), (4, 3), (2, 3), (1, 1))[number % 4]
        height, width = (side * part // min(shape) for part in shape)
        coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG")
        row: dict[str, Any] = {"image_id": str(number), "uri": None, "bytes": file.getvalue()}
        rows.append(row | {"width": width, "height": height})
    boxes = rng.uniform(0.1, 0.4, (count * 2 * PAIRS, 4)).astype(np.float32) * side
    pairs = np.tile(np.arange(2 * PAIRS).reshape(PAIRS, 2), (count, 1))
    return RelationData(
        images=pa.Table.from_pylist(rows),
        boxes=boxes,
        box_category=rng.integers(0, len(CLASSES), len(boxes)),
        box_start=np.arange(count + 1) * 2 * PAIRS,
        pairs=pairs,
        pair_start=np.arange(count + 1) * PAIRS,
        relations=rng.integers(0, len(PREDICATES), len(pairs)),
        relation_start=np.arange(len(pairs) + 1),
        categories=CLASSES,
        predicates=PREDICATES,
    )


def build(tiny: bool) -> nn.Module:
    """An R-Tagger with random weights; ResNet-50 and roberta-base where it is not tiny."""
    torch.manual_seed(0)
    entry = family(KIND)
    config = AutoConfig.for_model("roberta", max_position_embeddings=514, **(TINY_TEXT if tiny else {}))
    text = TextEncoder(AutoModel.from_config(config), tokenize)
    backbone = build_backbone(TINY_BACKBONE if tiny else "resnet50")
    sizes = entry.sizes(**TINY) if tiny else entry.sizes()
    return entry.build(sizes, backbone=backbone, text_encoder=text, classes=CLASSES, relations=PREDICATES)


def make_step_loss() -> loop.StepLoss[Batch]:
    """What the recipe `relations` minimises; its module reads files of formats that need more packages."""
    entry = family(KIND)
    losses, noise = entry.losses(), entry.noise
    assert noise is not None

    def compute(model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, torch.Tensor]:
        labels = Labels(batch.labels.objects, batch.labels.relations)
        pairs = noise().at(batch.progress)
        given = pairs.training_pairs(model, batch.targets, len(labels.objects), generator)
        output = model(batch.images, labels, batch.padding, given)
        return losses(output, batch.targets, max(1.0, batch.pairs))

    return compute


class TimedBatches:
    """Batches, and how long the training waited for each, seconds."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.waits: list[float] = []

    def from_step(self, start: int) -> Iterator[Batch]:
        source = self._batches.from_step(start)
        while True:
            began = time.perf_counter()
            batch = next(source)
            self.waits.append(time.perf_counter() - began)
            yield batch


def run(recorder: Recorder) -> None:
    tiny = recorder.tiny
    steps = 2 if tiny else recorder.calls(40)
    size, side = (2, 64) if tiny else (8, 800)
    options = BatchOptions(
        size=size,
        short_sides=(side,),
        order="aspect",
        object_labels=12 if tiny else 333,
        relation_labels=12 if tiny else 167,
        max_pairs=16,
    )
    optimisation = Optimisation(precision="bf16", average_decay=0.999)
    group = Processes(0, 1, torch.device(recorder.device))
    step_loss = make_step_loss()
    threads = group.loading_threads(None)
    data = make_data(8 * size, 60 if tiny else 640)

    def train(out: Path, model: nn.Module, until: int) -> tuple[Average | None, TimedBatches]:
        timed = TimedBatches(
            Batches(data, options, 0, threads=threads, pinned=recorder.device == "cuda", steps=until)
        )
        average = loop.train(
            model,
            timed,
            step_loss,
            optimisation,
            steps=until,
            out=out,
            seed=0,
            processes=group,
            settings={},
            log_every=10**6,
            save_every=10**6,
            report=lambda _: None,
        )
        return average, timed

    with TemporaryDirectory() as folder:
        model, out = build(tiny), Path(folder)
        warm_up = 1 if tiny else 5
        train(out, model, warm_up)
        _synchronise(recorder.device)
        # the rest of the run resumes from the snapshot of the warm-up, with its average
        resumed, began = build(tiny), time.perf_counter()
        average, timed = train(out, resumed, warm_up + steps)
        _synchronise(recorder.device)
        seconds = time.perf_counter() - began
        details = {"batch": size, "side": side, "precision": "bf16", "threads": threads}
        # loading the snapshot and writing the next one are within: a lower bound of the steady rate
        recorder.figure("training steps", steps / seconds, "per second", **details)
        recorder.figure("images", steps * size / seconds, "per second", **details)
        recorder.figure(
            "wait for data", 1e3 * sum(timed.waits[1:]) / max(1, steps - 1), "ms per step", **details
        )
        if recorder.device == "cuda":
            recorder.figure("peak memory", torch.cuda.max_memory_allocated() / 1e9, "GB", **details)
        assert average is not None
        devices = {value.device.type for value in average.state.values()}
        recorder.check("a resumed average is on the device", devices == {recorder.device})
        finite = all(bool(value.isfinite().all()) for value in average.state.values())
        recorder.check("the average of a resumed run is finite", finite)
        state = resumed.state_dict()
        moved = any(not torch.equal(value, state[name]) for name, value in average.state.items())
        recorder.check("the average follows the weights after the resume", moved)


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
