"""Train a model of the zoo on labelled pairs: pre-training, fine-tuning, the R-Tagger's denoising.

What is particular to a model, its losses and the pairs it is given, is in its entry of `relforge.models.zoo`.

    relforge train configs/train/parseda.yaml
    torchrun --nproc-per-node 8 -m relforge.trainer.recipes.relations configs/train/parseda.yaml
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
from relforge.models.training.criterion import Criterion
from relforge.models.training.precision import in_float32
from relforge.trainer import processes
from relforge.trainer.recipe import build_losses, build_noise, train_and_save
from relforge.trainer.settings import Settings, settings_from
from relforge.trainer.shared_texts import SharedTexts
from relforge.trainer.snapshots import Remembers


def main(values: Mapping[str, Any]) -> Path:
    """Run the recipe.

    Args:
        values: the settings, see `trainer.settings.Settings`.

    Returns:
        The finished model's folder.
    """
    settings = settings_from(values)
    group = processes.join()

    def make_step_loss(entry: Family, losses: Losses) -> StepLoss:
        return StepLoss(entry, settings, group, losses)

    return train_and_save(settings, make_step_loss, group)


class StepLoss:
    """The losses of one batch, all supervised layers together.

    Args:
        entry: of the model.
        settings: of the run.
        group: this process among the others.
        losses: of the model; by default those of its entry under the settings.
    """

    def __init__(
        self, entry: Family, settings: Settings, group: processes.Processes, losses: Losses | None = None
    ) -> None:
        if entry.targets == "boxes":
            raise ValueError(
                f"model.kind: {entry.name} finds boxes, no pairs; train it with recipe `detector`"
            )
        self._images = entry.targets == "images"
        self._losses = build_losses(entry, settings) if losses is None else losses
        self._noise = build_noise(entry, settings)
        self._group = group
        closed = entry.labels == "open" and settings.labels not in (None, "open")
        # several processes average gradients as they come, and those of the texts would come too late
        shared = closed and settings.optimisation.accumulate > 1 and group.world_size == 1
        self._texts = SharedTexts() if shared else None

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        labels = Labels(batch.labels.objects, batch.labels.relations)
        if self._texts is not None:
            labels = self._texts.encode(model, labels)
        given = None
        if self._noise is not None:
            noise, objects = self._noise.at(batch.progress), len(labels.objects)
            given = noise.training_pairs(model, batch.targets, objects, generator)
        output = model(batch.images, labels, batch.padding, given)
        targets = batch.image_targets if self._images else batch.targets
        of_batch: Losses = self._losses
        if isinstance(self._losses, Criterion):
            of_batch = self._losses.for_relations(labels.relations)
        # autocast is the model's: a family's own losses may not turn it off
        return in_float32(of_batch)(output, targets, mean_pairs(batch, self._group))

    def end_step(self) -> None:
        """Complete the gradients of texts that the batches of the step share."""
        if self._texts is not None:
            self._texts.end_step()

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """What the losses remember of earlier batches, see `snapshots.Remembers`."""
        return self._losses.state_dict() if isinstance(self._losses, Remembers) else {}

    def load_state_dict(self, state: Mapping[str, dict[str, Tensor]]) -> None:
        """Remember that."""
        if isinstance(self._losses, Remembers):
            self._losses.load_state_dict(state)


def mean_pairs(batch: Batch, group: processes.Processes) -> float:
    """Labelled pairs per batch of this step, averaged over the processes, at least 1: what box terms are
    divided by, so that an average of gradients is that of one large batch, as published."""
    return max(1.0, group.mean_number(batch.pairs))


if __name__ == "__main__":
    print(main(yaml.safe_load(Path(sys.argv[1]).read_text())))
