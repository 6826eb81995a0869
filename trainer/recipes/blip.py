"""Train a BLIP captioner from scratch: first to see, then to say.

First its vision tower learns what the pictures show; then everything learns each next word of the captions.

relforge train configs/train/world_blip.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from transformers import BlipTextConfig, BlipVisionConfig

from relforge.data.caption_batches import CaptionBatch, CaptionBatches, CaptionOptions
from relforge.data.captions import load
from relforge.models.blip.checkpoint import save
from relforge.trainer import loop, processes
from relforge.trainer.captioner import Captioner
from relforge.trainer.captioner_card import captioner_card
from relforge.trainer.optimise import Optimisation
from relforge.trainer.recipe import choose_from, read_settings
from relforge.trainer.vision_start import start_vision
from relforge.trainer.words import words_tokenizer

SEEING = {"words": 0.02, "patches": 0.5}
SAYING = {"captions": 1.0, "words": 0.02, "patches": 0.5}
"""Of each part's loss terms. Words and patches are sums over labels; these shares bring them to a caption
loss's size."""


@dataclass(frozen=True)
class Settings:
    """A captioner's training run, as its YAML file has it.

    Args:
        out: folder of snapshots, the log and the finished model (`out/model`).
        data: see `trainer.data.captions.load`.
        model: `kind` (blip), `vocabulary` (most tokens), `vision` and `text`, see `Captioner`.
        seeing_steps: of the vision tower alone, which cost a third of the others.
        steps: of everything, after that.
        batch, optimisation: fields of `CaptionOptions` and `Optimisation`.
        about: what the model card says first.
        half: store the finished model's weights as float16, half the size.
        save_every, log_every: steps.
    """

    out: str
    data: dict[str, Any]
    model: dict[str, Any]
    seeing_steps: int = 1000
    steps: int = 1000
    seed: int = 0
    batch: CaptionOptions = field(default_factory=CaptionOptions)
    optimisation: Optimisation = field(default_factory=Optimisation)
    about: str = ""
    half: bool = False
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
    for option in ("average", "slow_rate"):
        if option in values.get("optimisation", {}):
            raise ValueError(f"optimisation.{option}: this recipe has none; leave it out")
    group = processes.join()
    data = load(**settings.data)
    tokenizer = words_tokenizer(data.texts(), settings.model.get("vocabulary", 30000))
    torch.manual_seed(settings.seed)
    vision, text = settings.model["vision"], settings.model["text"]
    model = Captioner(vision, text, tokenizer, data.class_shares())
    batches = CaptionBatches(
        data,
        tokenizer,
        settings.batch,
        side=vision["image_size"],
        grid=vision["image_size"] // vision["patch_size"],
        longest=text["max_position_embeddings"],
        seed=settings.seed,
        rank=group.rank,
        world=group.world,
    )
    start_vision(model.blip.vision_model, batches.at(0).images, torch.Generator().manual_seed(settings.seed))
    out = Path(settings.out)
    plan = {k: v for k, v in asdict(settings).items() if k != "about"} | {"data_hash": data.sha256}
    seeing_plan = {k: v for k, v in plan.items() if k != "steps"}  # the second part's length is open so far
    for part, step_loss, steps, its_plan in (
        (out / "seeing", seeing_loss, settings.seeing_steps, seeing_plan),
        (out, saying_loss, settings.steps, plan),
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
            plan=its_plan,
            save_every=settings.save_every,
            log_every=settings.log_every,
        )
    finished = Path(settings.out) / "model"
    if group.first:
        save(model.blip, tokenizer, finished, prompt="", half=settings.half)
        (finished / "README.md").write_text(captioner_card(finished, asdict(settings), data))
    return finished


def seeing_loss(model: nn.Module, batch: CaptionBatch, generator: torch.Generator) -> dict[str, Tensor]:
    """Of the first part: words and patches."""
    return _weighed(model.seeing_losses(batch, generator), SEEING)


def saying_loss(model: nn.Module, batch: CaptionBatch, _: torch.Generator) -> dict[str, Tensor]:
    """Of the second part: captions above all."""
    return _weighed(model.losses(batch), SAYING)


def _weighed(terms: dict[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    return {"total": torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}


if __name__ == "__main__":
    print(main(yaml.safe_load(Path(sys.argv[1]).read_text())))
