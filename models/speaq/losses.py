"""The losses of Iterative SGG: three boxes, two classes and a predicate for every query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.models.speaq.matching import TripletCosts
from relforge.models.speaq.relation_boxes import relation_boxes
from relforge.models.training.criterion import Criterion
from relforge.models.training.grouped_matching import GroupedMatching
from relforge.models.training.losses import NO_OBJECT_WEIGHT, box_giou, box_l1
from relforge.models.training.targets import single_predicates
from relforge.models.training.terms import AllLabels, Assigned, Term

WEIGHTS = {
    f"{role}_{term}": weight
    for role in ("subject", "object", "relation")
    for term, weight in (("boxes", 5.0), ("giou", 2.0))
}
"""Of the box terms; classes and predicates have 1."""


@dataclass(frozen=True)
class BoxTerm:
    """L1 distance, or 1 - GIoU, of the boxes of one role, over the matches.

    Args:
        role: `subject`, `object` or `relation`.
        giou: which of the two.
    """

    role: str
    giou: bool = False

    def __call__(self, layer: Assigned) -> Tensor:
        if self.role == "relation":
            layer = layer.of_relations or layer
            target = relation_boxes(layer.targets.subject_boxes, layer.targets.object_boxes)
        else:
            target = getattr(layer.targets, f"{self.role}_boxes")
        predicted = layer.pick(getattr(layer.prediction, f"{self.role}_boxes"))
        return (box_giou if self.giou else box_l1)(predicted, target, layer.pairs)


def predicate_classes(layer: Assigned) -> Tensor:
    """Cross-entropy of predicates over all queries; those without target are "no relation", the last."""
    layer = layer.of_relations or layer
    logits = layer.prediction.relation_logits
    none = logits.shape[-1] - 1
    labels = torch.full(logits.shape[:2], none, device=logits.device)
    labels[layer.index] = layer.targets.relations.argmax(1)
    weight = torch.ones(none + 1, device=logits.device)
    if layer.predicate_weights is not None:
        weight[:-1] = layer.predicate_weights
    weight[-1] = NO_OBJECT_WEIGHT
    return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), weight)


def triplet_losses(*, published: bool = False, weights: Mapping[str, float] | None = None) -> Criterion:
    """Those of Iterative SGG, with one assignment for all layers. A recipe's `assign` puts SpeaQ's there.

    Args:
        published: see `GroupedMatching`.
        weights: name of a term -> weight.
    """
    terms: dict[str, Term] = {
        f"{role}_{term}": BoxTerm(role, giou=term == "giou")
        for role in ("subject", "object", "relation")
        for term in ("boxes", "giou")
    }
    return Criterion(
        GroupedMatching(TripletCosts(), joint=True, published=published),
        {**terms, "labels": AllLabels(), "relations": predicate_classes},
        WEIGHTS | dict(weights or {}),
        prepare=single_predicates,
    )
