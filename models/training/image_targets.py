"""Labels of a whole image, for models that recognise relations without boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class ImageTargets:
    """What holds somewhere in one image. All are multi-hot, float.

    Args:
        objects: O, object labels that have a box; the last one, "no objects", is 0.
        relations: R, relation labels that some pair has.
        interactions: I, (predicate, object) labels that some pair has; I = 0 without a list of them.
        interaction_weights: I in [0, 1], how much each of these counts in a loss; None: all fully.
    """

    objects: Tensor
    relations: Tensor
    interactions: Tensor
    interaction_weights: Tensor | None = None

    @property
    def weights(self) -> Tensor:
        """I, `interaction_weights` or ones."""
        given = self.interaction_weights
        return torch.ones_like(self.interactions) if given is None else given
