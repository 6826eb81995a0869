"""Train a detector of boxes, which any pair detector of its line can start from (`model.start`).

DETR or Deformable DETR, on the boxes of COCO, Visual Genome, a run folder or the drawn world.

    relforge train configs/train/deformable_detr_coco.yaml
    torchrun --nproc-per-node 8 -m relforge.trainer.recipes.detector configs/train/deformable_detr_coco.yaml
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
from relforge.models.blocks.prediction import Labels
from relforge.models.family import Family, Losses
from relforge.trainer import loop, processes
from relforge.trainer.recipe import train_and_save
from relforge.trainer.settings import settings_from

NOT_OF_BOXES = ("noise", "published", "labels", "assign")
"""Settings that boxes alone have no use for."""
OF_PAIRS = ("max_pairs", "unrelated_pairs", "object_labels", "relation_labels")
"""Options of batches that boxes alone have no use for."""


def main(values: Mapping[str, Any]) -> Path:
    """Run the recipe.

    Args:
        values: the settings, see `trainer.settings.Settings`; `sizes.queries` is the number of boxes.

    Returns:
        The finished model's folder.

    Raises:
        ValueError: a setting that is unknown, or of pairs.
    """
    settings = settings_from(values)
    for name in NOT_OF_BOXES:
        if name in values:
            raise ValueError(f"{name}: a detector of boxes has none; leave it out")
    for name in OF_PAIRS:
        if name in values.get("batch", {}):
            raise ValueError(f"batch.{name}: a detector finds boxes, not pairs; leave it out")
    group = processes.join()

    def make_step_loss(entry: Family, losses: Losses) -> loop.StepLoss[Batch]:
        def compute(model: nn.Module, batch: Batch, _: torch.Generator) -> dict[str, Tensor]:
            labels = Labels(batch.labels.objects, batch.labels.relations)
            output = model(batch.images, labels, batch.padding)
            # the mean over the processes, so that an average of gradients is that of one large batch
            return losses(output, batch.box_targets, max(1.0, group.mean_number(batch.boxes)))

        return compute

    return train_and_save(settings, make_step_loss, group)


if __name__ == "__main__":
    print(main(yaml.safe_load(Path(sys.argv[1]).read_text())))
