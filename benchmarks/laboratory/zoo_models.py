"""The zoo's families at one size: about two million parameters each, from one detector per kind of attention.

The deformable line starts from the shipped ParSeD's backbone and encoder, and all text encoders are the
shipped ParSeD's, where the published models start from ImageNet, COCO and RoBERTa. Depths are a third of the
published ones: two encoder layers, four decoder layers, or two and two where a second decoder infers
relations; OCN, whose relation stage is large, has three. DETR's line has a ResNet of three stages (stride 16)
and twice the width: its decoder sees no coordinates, so it learns positions from the zeros around a
convolution's map, which a Swin transformer hardly has. Each line's detector was trained once on the boxes of
the same gold images.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from laboratory.cache import digest
from laboratory.world import World
from relforge.cli.train import RECIPES
from relforge.data.batches import Batches
from relforge.data.label_lists import ClosedLabels
from relforge.demo.world.interactions import INTERACTIONS
from relforge.models.blocks.frozen_norm import FrozenBatchNorm2d
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import Loaded, load_model, load_tokenizer, save_model
from relforge.models.zoo import family
from relforge.trainer import processes
from relforge.trainer.optimiser import build_optimiser
from relforge.trainer.recipe import load_data
from relforge.trainer.recipes import relations
from relforge.trainer.settings import settings_from
from relforge.trainer.start import take_over

SHIPPED = Path(__file__).resolve().parents[2] / "demo" / "weights" / "parsed"

SHORT_SIDE, LONG_SIDE = 96, 128
PAIRS = 24
DETECTOR_STEPS = {"deformable_detr": 2000, "detr": 9000}
RATES = {"deformable_detr": (8e-4, 2e-4), "detr": (2.5e-4, 4e-4)}
"""Line -> learning rates of the transformer and of the backbone, which is new in DETR's line."""
DETECTOR_SEED = 0

BATCH = {"order": "published", "size": 8, "short_sides": [SHORT_SIDE], "long_side": LONG_SIDE}
OPTIMISATION = {"max_gradient_norm": 1.0, "warmup_steps": 50, "schedule": "cosine"}


def optimisation(line: str) -> dict[str, Any]:
    """How models of a line are trained, its detector too."""
    rate, backbone_rate = RATES[line]
    return {"learning_rate": rate, "backbone_learning_rate": backbone_rate, **OPTIMISATION}


_DEPTHS: dict[str, Any] = {"dropout": 0.0, "encoder_layers": 2}
_WIDTHS = {**_DEPTHS, "dim": 64, "heads": 2, "feedforward": 192}
_ONE, _TWO = {**_WIDTHS, "decoder_layers": 4}, {**_WIDTHS, "decoder_layers": 2}
_WIDE = {**_DEPTHS, "dim": 128, "heads": 4, "feedforward": 640}
_WIDE_ONE, _WIDE_TWO = {**_WIDE, "decoder_layers": 4}, {**_WIDE, "decoder_layers": 2}

DEFORMABLE, DETR = "deformable_detr", "detr"
DETECTORS: dict[str, dict[str, Any]] = {
    DETR: {**_WIDE_ONE, "queries": PAIRS},
    DEFORMABLE: {**_ONE, "queries": 2 * PAIRS, "refine": True, "centred": False},
}
"""Kind of the detector -> its sizes."""
RESNET = {"family": "resnet", "embedding_size": 32, "hidden_sizes": [64, 128, 256], "depths": [1, 2, 2]}
"""Backbone of DETR's line."""


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
_FUSION = {"fusions": 2, "fusion_dim": 64, "language_heads": 2, "language_feedforward": 128}
ENTRIES: dict[str, Entry] = {
    "qpic": Entry(DETR, _WIDE_ONE),
    "cdn": Entry(DETR, {**_WIDE_TWO, "relation_layers": 2}),
    "ocn": Entry(DETR, {**_WIDE_ONE, "decoder_layers": 3, "word_width": WORD_WIDTH}, words=True),
    "parse": Entry(DETR, _WIDE_TWO),
    "rlip_parse": Entry(DETR, _WIDE_TWO, texts=True),
    "qahoi": Entry(DEFORMABLE, {**_ONE, "levels": 4}),
    "qahoi_rlipv2": Entry(DEFORMABLE, _ONE),
    "parsed_v1": Entry(DEFORMABLE, _TWO),
    "rlip_parsed": Entry(DEFORMABLE, _TWO, texts=True),
    "parsed": Entry(DEFORMABLE, {**_TWO, **_FUSION}, texts=True),
    "parseda": Entry(DEFORMABLE, {**_TWO, **_FUSION}, texts=True),
}


def detector(world: World, kind: str) -> Path:
    """The finished folder of a detector of the gold images' boxes."""
    settings = {
        "data": [world.source("vg-like")],
        "seed": DETECTOR_SEED,
        "steps": DETECTOR_STEPS[kind],
        "save_every": 200,
        "log_every": 100,
        "model": {"kind": kind, "start": str(untrained(world, kind))},
        "batch": BATCH,
        "optimisation": optimisation(kind),
    }
    return train(world, settings) / "model"


def untrained(world: World, kind: str) -> Path:
    """The folder of a detector that has the shipped ParSeD's weights where shapes agree, else random ones."""
    folder = world.work / "untrained" / f"{kind}-{digest(DETECTORS[kind], world.work)}"
    if not (folder / "model.safetensors").exists():
        shipped = load_model(SHIPPED)
        sizes = family(kind).sizes(**DETECTORS[kind])
        backbone = backbone_of(kind, shipped.blueprint)
        blueprint = Blueprint(kind, sizes, backbone, None, shipped.blueprint.classes)
        torch.manual_seed(DETECTOR_SEED)
        model = blueprint.build(None)
        take_over(model, shipped.model.state_dict())
        if kind == DETR:
            set_statistics(model.get_submodule("backbone"), first_images(world))
        save_model(folder, model, blueprint, None)
    return folder


def backbone_of(kind: str, shipped: Blueprint) -> Mapping[str, Any]:
    """The backbone of a kind of detector."""
    return RESNET if kind == DETR else cast(Mapping[str, Any], shipped.backbone)


def first_images(world: World) -> Tensor:
    """The first batch of gold images, B x 3 x H x W."""
    settings = settings_from(
        {
            "data": [world.source("vg-like")],
            "steps": 1,
            "out": str(world.work),
            "model": {"kind": DETR},
            "batch": BATCH,
        }
    )
    return (
        Batches(load_data(settings), settings.batch, settings.seed, labels=None)
        .at(0)
        .to(torch.device("cpu"))
        .images
    )


@torch.no_grad()
def set_statistics(backbone: nn.Module, images: Tensor) -> None:
    """Give frozen batch norms the statistics of what they are given, layer after layer, in place: random
    weights without any normalisation hardly learn."""

    def measure(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        norm.running_var.copy_(inputs[0].var((0, 2, 3)))

    norms = [module for module in backbone.modules() if isinstance(module, FrozenBatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    backbone(images)
    for hook in hooks:
        hook.remove()


def text_encoder(world: World) -> Path:
    """The folder of the shipped ParSeD's text encoder, as transformers reads it."""
    folder = world.work / "text_encoder"
    if not (folder / "model.safetensors").exists():
        shipped = load_model(SHIPPED)
        tokenizer = load_tokenizer(SHIPPED, shipped.blueprint)
        cast(PreTrainedTokenizerBase, tokenizer).save_pretrained(folder)
        encoder = shipped.model.get_submodule("text_encoder").get_submodule("model")
        cast(PreTrainedModel, encoder).save_pretrained(folder)
    return folder


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
    world: World,
    kind: str,
    start: Path,
    data: Path,
    table: str,
    seed: int,
    steps: int,
    *,
    again: bool = False,
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
        model |= {"sizes": dict(entry.sizes)} | ({"text": str(text_encoder(world))} if entry.texts else {})
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
        "optimisation": optimisation(entry.detector),
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
        batch = batches.at(step).to(torch.device("cpu"))
        began = time.process_time()
        compute(model, batch, torch.Generator().manual_seed(0))["total"].backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)
