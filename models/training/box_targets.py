"""The labelled boxes of an image, for detectors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class BoxTargets:
    """The n boxes of one image.

    Args:
        boxes: n x 4 cxcywh in [0, 1].
        labels: n indices into the classes.
    """

    boxes: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.boxes)
