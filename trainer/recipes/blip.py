"""Train a BLIP captioner from scratch: vision pre-training, then caption pre-training.

First the vision tower alone learns which words and classes belong to an image; then all of it learns the next
token of captions.

relforge train configs/train/world_blip.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
import yaml
from torch import Tensor, nn
from transformers import BlipTextConfig, BlipVisionConfig

from relforge.data.caption_batches import CaptionBatch, CaptionBatches, CaptionOptions
from relforge.data.captions import load_captions
from relforge.models.blip.checkpoint import save
from relforge.trainer import loop, processes
from relforge.trainer.captioner import Captioner
from relforge.trainer.captioner_card import format_captioner_card
from relforge.trainer.optimiser import Optimisation
from relforge.trainer.settings import choose_from, read_settings
from relforge.trainer.tokenizer import build_word_tokenizer
from relforge.trainer.vision_initialisation import initialise_vision

VISION_WEIGHTS = {"words": 0.02, "patches": 0.5}
CAPTION_WEIGHTS = {"captions": 1.0, "words": 0.02, "patches": 0.5}
"""Weights of the loss terms of either part. Words and patches are sums over labels; these weights bring them
to the size of the caption loss."""


@dataclass(frozen=True)
class Settings:
    """A captioner's training run, as its YAML file has it.

    Args:
        out: folder of snapshots, the log and the finished model (`out/model`).
        data: see `data.captions.load`.
        model: `kind` (blip), `vocabulary` (maximum number of tokens), `vision` and `text`, see `Captioner`.
        vision_steps: of vision pre-training; they cost a third of the others.
        steps: of caption pre-training, after that.
        seed: of everything random.
        batch, optimisation: fields of `CaptionOptions` and `Optimisation`.
        about: the first text of the model card.
        half: store the finished model's weights as float16, half the size.
        threads: that load batches ahead; None: 8, or the cores of a process where they are fewer.
        save_every, log_every: steps.
    """

    neutral_options: ClassVar = ("threads",)  # changing these leaves a stopped training as it is

    out: str
    data: dict[str, Any]
    model: dict[str, Any]
    vision_steps: int = 1000
    steps: int = 1000
    seed: int = 0
    batch: CaptionOptions = field(default_factory=CaptionOptions)
    optimisation: Optimisation = field(default_factory=Optimisation)
    about: str = ""
    half: bool = False
    threads: int | None = None
    save_every: int = 200
    log_every: int = 20


def main(values: Mapping[str, Any]) -> Path:
    """Run the recipe. Returns the finished model's folder.

    Raises:
        ValueError: a setting that is unknown or missing, data that cannot be read.
    """
    settings = read_settings(values, Settings, CaptionOptions)
    choose_from(settings.data, ("captions", "images", "boxes", "limit"), "data.")
    choose_from(settings.model, ("kind", "vocabulary", "vision", "text"), "model.")
    for name, config in (("vision", BlipVisionConfig()), ("text", BlipTextConfig())):
        choose_from(settings.model.get(name, {}), list(config.to_dict()), f"model.{name}.")
    for option in ("average_decay", "backbone_learning_rate"):
        if option in values.get("optimisation", {}):
            raise ValueError(f"optimisation.{option}: this recipe has none; leave it out")
    group = processes.join()
    data = load_captions(**settings.data)
    tokenizer = build_word_tokenizer(data.texts(), settings.model.get("vocabulary", 30000))
    torch.manual_seed(settings.seed)
    vision, text = settings.model["vision"], settings.model["text"]
    model = Captioner(vision, text, tokenizer, data.class_shares())
    batches = CaptionBatches(
        data,
        tokenizer,
        settings.batch,
        side=vision["image_size"],
        grid=vision["image_size"] // vision["patch_size"],
        max_length=text["max_position_embeddings"],
        seed=settings.seed,
        rank=group.rank,
        world_size=group.world_size,
        threads=group.loading_threads(settings.threads),
        pinned=group.device.type == "cuda",
    )
    initialise_vision(
        model.blip.vision_model,
        batches.at(0).to(torch.device("cpu")).images,
        torch.Generator().manual_seed(settings.seed),
    )
    out = Path(settings.out)
    all_settings = {
        k: v for k, v in asdict(settings).items() if k not in ("about", *settings.neutral_options)
    } | {"data_hash": data.sha256}
    vision_settings = {k: v for k, v in all_settings.items() if k != "steps"}
    for part, step_loss, steps, of_part in (
        (out / "vision", vision_loss, settings.vision_steps, vision_settings),
        (out, caption_loss, settings.steps, all_settings),
    ):
        loop.train(
            model,
            batches,
            step_loss,
            settings.optimisation,
            steps=steps,
            out=part,
            seed=settings.seed,
            processes=group,
            settings=of_part,
            save_every=settings.save_every,
            log_every=settings.log_every,
        )
    finished = Path(settings.out) / "model"
    if group.first:
        save(model.blip, tokenizer, finished, prompt="", half=settings.half)
        (finished / "README.md").write_text(format_captioner_card(finished, asdict(settings), data))
    return finished


def vision_loss(model: nn.Module, batch: CaptionBatch, generator: torch.Generator) -> dict[str, Tensor]:
    """Loss of vision pre-training: words and patches."""
    return _weighted(model.vision_losses(batch, generator), VISION_WEIGHTS)


def caption_loss(model: nn.Module, batch: CaptionBatch, _: torch.Generator) -> dict[str, Tensor]:
    """Loss of caption pre-training: mainly captions, words and patches beside them."""
    return _weighted(model.caption_losses(batch), CAPTION_WEIGHTS)


def _weighted(terms: dict[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    return {"total": torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}


if __name__ == "__main__":
    print(main(yaml.safe_load(Path(sys.argv[1]).read_text())))
