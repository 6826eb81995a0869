"""Relational pre-training of ParSeD and ParSeDA on gold and pseudo-labels: pairs are searched for.

Hungarian matching, focal, cross-entropy, L1 and GIoU losses, Label Sequence Extension, Relation Quality
Labels and Relation Pseudo-Labels (RLIPv1, kept in RLIPv2).

    relforge train configs/train/parseda.yaml
    torchrun --nproc-per-node 8 -m relforge.trainer.recipes.pretrain configs/train/parseda.yaml
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
from relforge.models.training.criterion import LossWeights, search_losses
from relforge.models.training.relation_labels import pseudo_labels
from relforge.models.training.targets import together
from relforge.trainer import processes
from relforge.trainer.recipe import settings_from, train_and_save


def main(values: Mapping[str, Any]) -> Path:
    """Run the recipe; settings as `trainer.recipe.Settings`. Returns the finished model's folder."""
    settings = settings_from(values)
    return train_and_save(
        settings,
        ["parsed", "parseda"],
        lambda model, batch, _: step_loss(model, batch, published=settings.published),
        processes.join(),
    )


def step_loss(model: nn.Module, batch: Batch, *, published: bool = False) -> dict[str, Tensor]:
    """All decoder layers' losses of one batch.

    Args:
        published: let the gradient of pseudo-label targets flow into the text encoder, as the published
            training does (reference §7, Q24).
    """
    objects = len(batch.labels.objects)
    features = model.text_encoder.encode(batch.labels.texts)
    memory = model.encode(batch.images, features, batch.padding)
    predictions = model.decode(memory, model.queries(len(batch.images)), objects)
    names = features[objects:]
    pseudo = pseudo_labels(together(batch.targets).relations, names if published else names.detach())
    layers = [search_losses(prediction, batch.targets, pseudo=pseudo) for prediction in predictions]
    last = layers[-1]
    return {
        "total": torch.stack([layer.total(LossWeights()) for layer in layers]).sum(),
        "relations": last.relations,
        "labels": last.labels,
        "boxes": last.subject_boxes + last.object_boxes,
    }


if __name__ == "__main__":
    print(main(yaml.safe_load(Path(sys.argv[1]).read_text())))
