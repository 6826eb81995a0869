"""Train the R-Tagger by denoising (paper §4.3): pairs are given disturbed, their relations are asked for.

relforge train configs/train/rtagger.yaml
torchrun --nproc-per-node 8 -m relforge.trainer.recipes.rtagger configs/train/rtagger.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from relforge.data.batches import Batch
from relforge.models.training.criterion import LossWeights, tagger_losses
from relforge.tagger.denoising import Noise, denoising_pairs
from relforge.trainer import processes
from relforge.trainer.recipe import settings_from, train_and_save


def main(values: Mapping[str, Any]) -> Path:
    """Run the recipe.

    Args:
        values: the settings, see `trainer.recipe.Settings`.

    Returns:
        The finished model's folder.
    """
    settings = settings_from(values)
    noise = Noise(**settings.noise)
    return train_and_save(
        settings,
        ["rtagger"],
        lambda model, batch, generator: step_loss(model, batch, generator, noise),
        processes.join(),
    )


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
