"""What a picture's pairs should be."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Targets:
    """The n labelled pairs of one picture.

    Args:
        subject_boxes, object_boxes: n x 4 cxcywh in [0, 1]; an object box of zeros means there is none.
        subject_labels, object_labels: n indices into the object labels.
        relations: n x R, 1 where the relation label holds (multi-hot, float).
    """

    subject_boxes: Tensor
    object_boxes: Tensor
    subject_labels: Tensor
    object_labels: Tensor
    relations: Tensor

    def __len__(self) -> int:
        return len(self.subject_boxes)

    def to(self, device: torch.device | str) -> Targets:
        """The same on another device."""
        return Targets(
            self.subject_boxes.to(device),
            self.object_boxes.to(device),
            self.subject_labels.to(device),
            self.object_labels.to(device),
            self.relations.to(device),
        )


def together(targets: list[Targets]) -> Targets:
    """The pairs of all pictures, one after the other; all must share one list of relation labels."""
    return Targets(
        torch.cat([t.subject_boxes for t in targets]),
        torch.cat([t.object_boxes for t in targets]),
        torch.cat([t.subject_labels for t in targets]),
        torch.cat([t.object_labels for t in targets]),
        torch.cat([t.relations for t in targets]),
    )
