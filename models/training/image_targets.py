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
    """

    objects: Tensor
    relations: Tensor
    interactions: Tensor

    def to(self, device: torch.device | str) -> ImageTargets:
        """The same on another device."""
        return ImageTargets(self.objects.to(device), self.relations.to(device), self.interactions.to(device))
