"""Trained models that the experiments compare, each trained once: a hash of its settings names the folder."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from laboratory.cache import digest
from laboratory.world import SIZE, World
from relforge.trainer.recipes import relations

VARIANTS: dict[str, dict[str, Any]] = {
    "noise and masks": {},
    "without noise": {"box": 0.0, "label": 0.0},
    "without masks": {"mask": False},
    "ordered pairs": {},
}
"""What the R-Tagger is trained with (paper, Table 4) -> fields of `Noise`."""

SWITCHES: dict[str, dict[str, bool]] = {"ordered pairs": {"ordered_pairs": True}}
"""Variant -> fields of `Sizes` in which it differs from the published design."""

BASE = "noise and masks"
SHORT_SIDE = 72

_SIZES = {
    "dim": 64,
    "heads": 2,
    "encoder_layers": 2,
    "fusions": 2,
    "decoder_layers": 2,
    "feedforward": 128,
    "fusion_dim": 64,
    "language_heads": 2,
    "language_feedforward": 128,
    "dropout": 0.0,
}
_BACKBONE = {"family": "swin", "embed_dim": 24, "depths": [1, 1, 2, 1], "heads": [1, 2, 4, 8], "window": 4}
_TEXT = {
    "model_type": "roberta",
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 66,
}
_OPTIMISATION = {
    "learning_rate": 8e-4,
    "backbone_learning_rate": 8e-4,
    "max_gradient_norm": 1.0,
    "warmup_steps": 30,
}


def batch_of(sides: tuple[int, int]) -> dict[str, Any]:
    """How batches are made of images of these sides."""
    return {
        "order": "published",
        "size": 12,
        "short_sides": [sides[0]],
        "long_side": sides[1],
        "max_pairs": 24,
    }


def tagger(
    world: World,
    variant: str,
    seed: int,
    labels: Path | None = None,
    steps: int = 500,
    sides: tuple[int, int] = (SHORT_SIDE, SIZE),
) -> Path:
    """An R-Tagger of two million parameters, trained from scratch on the gold images.

    Args:
        labels: folder with `images`, `boxes` and `relations` tables to learn from as well.
        sides: shorter side of the images, and upper bound of the longer one, pixels.
    """
    settings = {
        "data": _data(world, labels),
        "seed": seed,
        "steps": steps,
        "save_every": steps,
        "log_every": max(1, steps // 10),
        "model": {
            "kind": "rtagger",
            "sizes": {**_SIZES, **SWITCHES.get(variant, {})},
            "backbone": _BACKBONE,
            "text": _TEXT,
        },
        "batch": {**batch_of(sides), "unrelated_pairs": 6},
        "optimisation": _OPTIMISATION,
        "noise": VARIANTS[variant],
    }
    return trained(world, settings)


def detector(world: World, start: Path, seed: int, labels: Path | None, steps: int) -> Path:
    """A ParSeD that starts from an R-Tagger, as in the paper's Table 4, and learns to search for pairs."""
    settings = {
        "data": _data(world, labels),
        "seed": seed,
        "steps": steps,
        "save_every": 500,
        "log_every": max(1, steps // 10),
        "model": {"kind": "parsed", "start": str(start)},
        "batch": batch_of((SHORT_SIDE, SIZE)),
        "optimisation": _OPTIMISATION,
    }
    return trained(world, settings)


def _data(world: World, labels: Path | None) -> list[dict[str, Any]]:
    extra = [{"run": str(labels), "relations": "relations"}] if labels else []
    return [world.source("vg-like"), *extra]


def trained(world: World, settings: Mapping[str, Any]) -> Path:
    """The finished model's folder; trained now unless these settings were trained in this work folder."""
    kind = settings["model"]["kind"]
    out = world.work / "trained" / f"{kind}-{digest(settings, world.work)}"
    if not (out / "model" / "model.safetensors").exists():
        torch.set_num_threads(1)
        with contextlib.redirect_stdout(sys.stderr):
            relations.main({**settings, "out": str(out)})
    return out / "model"
