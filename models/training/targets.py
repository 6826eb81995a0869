"""The labelled pairs of an image."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass
class Targets:
    """The n labelled pairs of one image.

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

    @property
    def has_object(self) -> Tensor:
        """n, False where the pair has no object (V-COCO)."""
        return (self.object_boxes != 0).any(1)

    def take(self, rows: Tensor) -> Targets:
        """Only these rows."""
        return Targets(*(getattr(self, field.name)[rows] for field in fields(self)))


def single_predicates(targets: Targets) -> Targets:
    """A row for each predicate of every pair; none for a pair without."""
    rows, columns = targets.relations.nonzero(as_tuple=True)
    single = torch.zeros_like(targets.relations[rows])
    single[torch.arange(len(rows), device=rows.device), columns] = 1
    return replace(targets.take(rows), relations=single)


def concatenate_targets(targets: list[Targets]) -> Targets:
    """The pairs of all images, one after the other; all must share one list of relation labels."""
    return Targets(*(torch.cat([getattr(one, field.name) for one in targets]) for field in fields(Targets)))
