"""Train the R-Tagger by denoising (paper §4.3): pairs are given disturbed, their relations are asked for.

relforge train configs/train/rtagger.yaml
torchrun --nproc-per-node 8 -m relforge.trainer.recipes.rtagger configs/train/rtagger.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from relforge.tagger.checkpoint import save_model
from relforge.tagger.criterion import LossWeights, tagger_losses
from relforge.tagger.denoising import Noise, denoising_pairs
from relforge.trainer import loop, processes
from relforge.trainer.data.batches import Batch, Batches
from relforge.trainer.recipe import data_hash, load_data, settings_from, start_model


def main(values: Mapping[str, Any]) -> Path:
    """Run the recipe.

    Args:
        values: the settings, see `trainer.recipe.Settings`.

    Returns:
        The finished model's folder.
    """
    settings = settings_from(values)
    group = processes.join()

    # the pictures with their labelled pairs, and the batches that every step draws from them
    data = load_data(settings)
    batches = Batches(data, settings.batch, settings.seed, group.rank, group.world)
    steps = settings.length(batches.steps_per_epoch)

    # the model, from scratch or from another run's end
    model, blueprint, tokenizer = start_model(settings, data)
    noise = Noise(**settings.noise)

    average = loop.train(
        model,
        batches,
        lambda m, batch, generator: step_loss(m, batch, generator, noise),
        settings.optimisation,
        steps=steps,
        out=Path(settings.out),
        seed=settings.seed,
        processes=group,
        plan=asdict(settings) | {"data_hash": data_hash(data)},
        save_every=settings.save_every,
        log_every=settings.log_every,
    )

    # what is kept is the averaged model where there is one
    if average:
        model.load_state_dict(average.state, strict=False)
    finished = Path(settings.out) / "model"
    if group.first:
        save_model(
            finished,
            model,
            blueprint,
            tokenizer,
            metrics={"steps": steps, "seed": settings.seed, "pictures": len(data)},
            made_by="relforge train, recipe rtagger",
            data_hash=data_hash(data),
            half=settings.half,
        )
    return finished


def step_loss(model: nn.Module, batch: Batch, generator: torch.Generator, noise: Noise) -> dict[str, Tensor]:
    """All decoder layers' losses of one batch."""
    objects = len(batch.labels.objects)
    features = model.text_encoder.encode(batch.labels.texts)
    memory = model.encode(batch.images, features, batch.padding)
    given = denoising_pairs(
        batch.targets,
        noise,
        width=max(1, *(len(t) for t in batch.targets)),
        object_labels=objects - 1,
        heads=model.entity_decoder.layers[0].self_attn.num_heads,
        generator=generator,
    )
    predictions = model.decode(memory, model.queries(given, memory.labels[-1]), objects)
    layers = [tagger_losses(prediction, batch.targets) for prediction in predictions]
    last = layers[-1]
    return {
        "total": torch.stack([layer.total(LossWeights()) for layer in layers]).sum(),
        "relations": last.relations,
        "labels": last.labels,
        "boxes": last.subject_boxes + last.object_boxes,
    }


if __name__ == "__main__":
    print(main(yaml.safe_load(Path(sys.argv[1]).read_text())))
