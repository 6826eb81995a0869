"""The zoo's families at one size: about a million parameters each, from one detector per kind of attention.

Sizes follow the published ones at a quarter of the width and a third of the depth: two encoder layers, four
decoder layers, or two and two where a second decoder infers relations. All start from a detector of their
line that was trained once on the boxes of the same gold images, as the published ones start from one of COCO.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from laboratory.cache import digest
from laboratory.world import World
from relforge.cli.train import RECIPES
from relforge.data.batches import Batches
from relforge.data.label_lists import ClosedLabels
from relforge.demo.world.interactions import INTERACTIONS
from relforge.models.checkpoint import Loaded
from relforge.models.zoo import family
from relforge.trainer import processes
from relforge.trainer.optimiser import build_optimiser
from relforge.trainer.recipe import load_data
from relforge.trainer.recipes import relations
from relforge.trainer.settings import settings_from

SHORT_SIDE, LONG_SIDE = 96, 128
PAIRS = 24
DETECTOR_STEPS = {"deformable_detr": 2000, "detr": 600}
DETECTOR_SEED = 0

BACKBONE = {"family": "swin", "embed_dim": 24, "depths": [1, 1, 1, 1], "heads": [1, 2, 4, 8], "window": 4}
TEXT = {
    "model_type": "roberta",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
}
BATCH = {"size": 8, "short_sides": [SHORT_SIDE], "long_side": LONG_SIDE}
OPTIMISATION = {
    "learning_rate": 8e-4,
    "backbone_learning_rate": 8e-4,
    "max_gradient_norm": 1.0,
    "warmup_steps": 50,
    "schedule": "cosine",
}
_WIDTHS = {"dim": 64, "heads": 2, "feedforward": 128, "dropout": 0.0, "encoder_layers": 2}
_ONE, _TWO = {**_WIDTHS, "decoder_layers": 4}, {**_WIDTHS, "decoder_layers": 2}
_WIDE = {"feedforward": 288}  # of the DETR line, which has no pyramid; published: twice the other line's

DEFORMABLE, DETR = "deformable_detr", "detr"
DETECTORS: dict[str, dict[str, Any]] = {
    DETR: {**_ONE, **_WIDE, "queries": PAIRS},
    DEFORMABLE: {**_ONE, "queries": 2 * PAIRS, "refine": True, "centred": False},
}
"""Kind of the detector -> its sizes."""


@dataclass(frozen=True)
class Entry:
    """One family of the comparison.

    Args:
        detector: what it starts from.
        sizes: fields of its sizes.
        texts: it reads label texts, so that it can learn from pseudo-labels first.
        words: it needs vectors of the words of its relations.
    """

    detector: str
    sizes: Mapping[str, Any]
    texts: bool = False
    words: bool = False


WORD_WIDTH = 32
_FUSION = {"fusions": 2, "fusion_dim": 64, "language_heads": 2, "language_feedforward": 64}
ENTRIES: dict[str, Entry] = {
    "qpic": Entry(DETR, {**_ONE, **_WIDE}),
    "cdn": Entry(DETR, {**_TWO, **_WIDE, "relation_layers": 2}),
    "ocn": Entry(DETR, {**_ONE, **_WIDE, "word_width": WORD_WIDTH}, words=True),
    "parse": Entry(DETR, {**_TWO, **_WIDE}),
    "rlip_parse": Entry(DETR, {**_TWO, **_WIDE}, texts=True),
    "qahoi": Entry(DEFORMABLE, {**_ONE, "levels": 4}),
    "qahoi_rlipv2": Entry(DEFORMABLE, _ONE),
    "parsed_v1": Entry(DEFORMABLE, _TWO),
    "rlip_parsed": Entry(DEFORMABLE, _TWO, texts=True),
    "parsed": Entry(DEFORMABLE, {**_TWO, **_FUSION}, texts=True),
    "parseda": Entry(DEFORMABLE, {**_TWO, **_FUSION}, texts=True),
}


def detector(world: World, kind: str) -> Path:
    """The finished folder of a detector of the gold images' boxes. DETR, which learns slowly, starts from the
    backbone of the other one."""
    model: dict[str, Any] = {"kind": kind, "sizes": DETECTORS[kind]}
    if kind == DETR:
        model["start"] = str(detector(world, DEFORMABLE))
    else:
        model["backbone"] = BACKBONE
    settings = {
        "data": [world.source("vg-like")],
        "seed": DETECTOR_SEED,
        "steps": DETECTOR_STEPS[kind],
        "save_every": 200,
        "log_every": 100,
        "model": model,
        "batch": BATCH,
        "optimisation": OPTIMISATION,
    }
    return train(world, settings) / "model"


def train(world: World, settings: Mapping[str, Any]) -> Path:
    """The folder of a finished training; trained now unless these settings were trained here before."""
    kind = settings["model"]["kind"]
    out = world.work / "trained" / f"{kind}-{digest(settings, world.work)}"
    if not (out / "model" / "model.safetensors").exists():
        torch.set_num_threads(1)
        with contextlib.redirect_stdout(sys.stderr):
            RECIPES.load(kind)({**settings, "out": str(out)})
    return out


def random_words(folder: Path) -> Path:
    """A file of random vectors for the words of the world's interactions, in place of pre-trained ones."""
    file = folder / "words.txt"
    words = sorted({word for name in INTERACTIONS for word in name.split()})
    vectors = np.random.default_rng(0).standard_normal((len(words), WORD_WIDTH))
    rows = zip(words, vectors.tolist(), strict=True)
    lines = (" ".join([word, *(f"{number:.5f}" for number in row)]) + "\n" for word, row in rows)
    file.write_text("".join(lines), encoding="utf-8")
    return file


def settings_of(
    kind: str, start: Path, data: Path, table: str, seed: int, steps: int, *, again: bool = False
) -> dict[str, Any]:
    """A recipe of one family.

    Args:
        start: the detector, or with `again` the model of that kind that was trained before.
        data: run folder.
        table: `gold` or `relations` of it.
    """
    entry = ENTRIES[kind]
    model: dict[str, Any] = {"kind": kind, "start": str(start)}
    if not again:
        model |= {"sizes": dict(entry.sizes)} | ({"text": TEXT} if entry.texts else {})
        if entry.words:
            model["words"] = str(random_words(data.parent))
    return {
        "data": [{"run": str(data), "relations": table}],
        "seed": seed,
        "steps": steps,
        "save_every": steps,
        "log_every": max(1, steps // 5),
        "model": model,
        "batch": {**BATCH, "max_pairs": PAIRS},
        "optimisation": OPTIMISATION,
    }


def step_seconds(world: World, settings: Mapping[str, Any], loaded: Loaded, steps: int = 5) -> float:
    """Processor seconds of one training step, the batch being there: forward, losses, backward, optimiser."""
    parsed = settings_from({**settings, "out": str(world.work)})
    entry = family(loaded.blueprint.kind)
    data = load_data(parsed)
    blueprint = loaded.blueprint
    labels = None
    if entry.labels == "closed":
        labels = ClosedLabels(data, blueprint.classes, blueprint.relations)
    batches = Batches(data, parsed.batch, parsed.seed, labels=labels)
    compute = relations.StepLoss(entry, parsed, processes.join())
    model = loaded.model.train()
    optimiser = build_optimiser(model, parsed.optimisation, entry.backbone_prefixes)
    seconds = []
    for step in range(steps):
        batch = batches.at(step)
        began = time.process_time()
        compute(model, batch, torch.Generator().manual_seed(0))["total"].backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)
