"""The loss terms of pair detectors, each a function of one decoder layer's predictions and their targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from relforge.models.blocks.boxes import generalised_iou, xyxy_from_cxcywh
from relforge.models.blocks.prediction import Prediction
from relforge.models.training.assign import Assignment
from relforge.models.training.losses import (
    box_giou,
    box_l1,
    label_cross_entropy,
    object_focal,
    relation_cross_entropy,
    relation_focal,
    relation_quality_focal,
)
from relforge.models.training.relation_labels import pseudo_labels, quality
from relforge.models.training.targets import Targets, concatenate_targets


@dataclass
class Assigned:
    """One decoder layer's prediction and the targets that its queries are trained for, m of them.

    Args:
        prediction: of the layer.
        batch_targets: one per image.
        assignment: of an `Assigner`.
        pairs: mean number of target pairs per process, at least 1.
        relation_features: R x width text features; None for closed labels.
        columns: m x R, the relation labels that each query is trained on: it is not told that true ones of
            the others are false. None: all.
        predicate_weights: R factors of the loss where a relation holds; None: 1.
        of_relations: the same for the predicate queries, where a pair has several.
        report: what the log shows beside the terms.
    """

    prediction: Prediction
    batch_targets: list[Targets]
    assignment: Assignment
    pairs: float
    relation_features: Tensor | None = None
    columns: Tensor | None = None
    predicate_weights: Tensor | None = None
    of_relations: Assigned | None = None
    report: Mapping[str, Tensor] = field(default_factory=dict)

    @cached_property
    def index(self) -> tuple[Tensor, Tensor]:
        """m image numbers and m query numbers."""
        images = [torch.full_like(queries, i) for i, (queries, _) in enumerate(self.assignment)]
        return torch.cat(images), torch.cat([queries for queries, _ in self.assignment])

    @cached_property
    def order(self) -> Tensor:
        """m indices into the targets of all images, concatenated."""
        start, out = 0, []
        for target, (_, chosen) in zip(self.batch_targets, self.assignment, strict=True):
            out.append(chosen + start)
            start += len(target)
        return torch.cat(out)

    @cached_property
    def targets(self) -> Targets:
        """The m targets, in the order of `index`."""
        return concatenate_targets(self.batch_targets).take(self.order)

    def pick(self, rows: Tensor) -> Tensor:
        """The assigned queries' part of N x Q x ..."""
        return rows[self.index]


Term = Callable[[Assigned], Tensor | None]
"""A loss term: one number, or None where the model predicts nothing that it would be of."""


def subject_boxes(layer: Assigned) -> Tensor:
    """L1 distance of subject boxes, over the pairs."""
    return box_l1(layer.pick(layer.prediction.subject_boxes), layer.targets.subject_boxes, layer.pairs)


def subject_giou(layer: Assigned) -> Tensor:
    """1 - GIoU of subject boxes, over the pairs."""
    return box_giou(layer.pick(layer.prediction.subject_boxes), layer.targets.subject_boxes, layer.pairs)


def object_boxes(layer: Assigned) -> Tensor:
    """L1 distance of object boxes, over the objects that exist in this process's batch, as published."""
    predicted, target, count = _objects(layer)
    return box_l1(predicted, target, count)


def object_giou(layer: Assigned) -> Tensor:
    """1 - GIoU of object boxes, over the objects that exist in this process's batch, as published."""
    predicted, target, count = _objects(layer)
    return box_giou(predicted, target, count)


def _objects(layer: Assigned) -> tuple[Tensor, Tensor, Tensor]:
    has_object = layer.targets.has_object
    predicted = layer.pick(layer.prediction.object_boxes)[has_object]
    return predicted, layer.targets.object_boxes[has_object], has_object.sum() + 1e-4


BOX_TERMS: dict[str, Term] = {
    "subject_boxes": subject_boxes,
    "object_boxes": object_boxes,
    "subject_giou": subject_giou,
    "object_giou": object_giou,
}
"""The box terms of every pair detector."""


def assigned_labels(layer: Assigned) -> Tensor:
    """Cross-entropy of both ends' classes over the assigned queries; 0 where there are none."""
    terms = []
    for logits, labels in _label_pairs(layer):
        picked = layer.pick(logits)
        # the mean of nothing is NaN; the sum keeps a path for the gradient
        terms.append(label_cross_entropy(picked, labels) if len(labels) else picked.sum())
    return torch.stack(terms).sum()


class LabelWeights(Protocol):
    """Weighs labels, and may remember those that it has seen: its state is part of a training's snapshot."""

    def __call__(self, labels: Tensor) -> Tensor:
        """The weight of every label, one more for none, for labels as the loss has them."""

    def state_dict(self) -> dict[str, Tensor]:
        """What it remembers."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Remember that."""


@dataclass(frozen=True)
class AllLabels:
    """Cross-entropy of both ends' classes over all queries; those without target are "no objects". Where
    objects have sigmoids: their focal loss, over the pairs.

    Args:
        smoothing: of the labels.
        weigh: weights of the objects' classes; None: 1, and 0.1 of "no objects".
    """

    smoothing: float = 0.0
    weigh: LabelWeights | None = None

    def __call__(self, layer: Assigned) -> Tensor:
        sigmoid = layer.prediction.sigmoid_objects
        terms = []
        pairs = _label_pairs(layer)
        for place, (logits, assigned) in enumerate(pairs):
            none = logits.shape[-1] - (0 if sigmoid else 1)
            labels = torch.full(logits.shape[:2], none, device=logits.device)
            labels[layer.index] = assigned
            if sigmoid:
                terms.append(object_focal(logits, labels, layer.pairs))
                continue
            last = place == len(pairs) - 1  # the objects
            weight = self.weigh(labels) if self.weigh is not None and last else None
            terms.append(label_cross_entropy(logits, labels, self.smoothing, weight))
        return torch.stack(terms).sum()


def _label_pairs(layer: Assigned) -> list[tuple[Tensor, Tensor]]:
    """(logits, labels of the assigned queries) of subjects, where they have a class, and of objects."""
    pairs = [(layer.prediction.object_logits, layer.targets.object_labels)]
    if layer.prediction.subject_logits is not None:
        pairs.insert(0, (layer.prediction.subject_logits, layer.targets.subject_labels))
    return pairs


def assigned_relations(layer: Assigned) -> Tensor:
    """Focal loss of relations over the assigned queries."""
    return relation_focal(layer.pick(layer.prediction.relation_logits), layer.targets.relations)


RELATION_LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "quality": relation_quality_focal,
    "focal": relation_focal,
    "smooth": relation_quality_focal,
    "bce": relation_cross_entropy,
}
"""Targets of relations: scaled by how well the boxes fit (Relation Quality Labels), hard (published for
V-COCO), smoothed, or hard with binary cross-entropy (for comparison)."""


@dataclass(frozen=True)
class AllRelations:
    """Loss of relations over all queries; those without target have none.

    Args:
        kind: a key of `RELATION_LOSSES`.
        pseudo: add Relation Pseudo-Labels; needs `quality`, whose targets are soft, and open labels.
        published: let the gradient of pseudo-label targets flow into the text encoder, as the published
            training does.
        smoothing: of the targets, with `smooth`.
        weigh: weights of true relations, with `focal`; None: 1.

    Raises:
        ValueError: an unknown kind, pseudo-labels with hard targets, or weights without `focal`.
    """

    kind: str = "quality"
    pseudo: bool = False
    published: bool = False
    smoothing: float = 0.1
    weigh: LabelWeights | None = None

    def __post_init__(self) -> None:
        if self.kind not in RELATION_LOSSES:
            raise ValueError(f"losses.relations is {self.kind!r}; choose one of {', '.join(RELATION_LOSSES)}")
        if self.pseudo and self.kind != "quality":
            raise ValueError(
                f"pseudo-labels are soft: they need losses.relations `quality`, not {self.kind!r}"
            )
        if self.weigh is not None and self.kind != "focal":
            raise ValueError(f"weighted relations need losses.relations `focal`, not {self.kind!r}")

    def __call__(self, layer: Assigned) -> Tensor:
        layer = layer.of_relations or layer
        targets = layer.targets.relations
        factors = relation_factors(layer)
        if self.pseudo:
            features = layer.relation_features
            if features is None:
                raise ValueError("pseudo-labels compare text features: this model has closed labels")
            true = concatenate_targets(layer.batch_targets).relations
            scores = pseudo_labels(true, features if self.published else features.detach())
            targets = targets + scores[layer.order]
        if layer.columns is not None:
            targets = targets * layer.columns
        if self.kind == "quality":
            targets = targets * box_quality(layer)[:, None]
        elif self.kind == "smooth":
            targets = targets * (1 - self.smoothing) + self.smoothing / targets.shape[1]
        logits = layer.prediction.relation_logits
        full = targets.new_zeros(logits.shape).index_put(layer.index, targets)
        weights = None
        if factors is not None:
            weights = targets.new_ones(logits.shape).index_put(layer.index, factors)
        if self.weigh is not None:
            rare = torch.where(full == 1, self.weigh(full)[:-1], 1.0)
            weights = rare if weights is None else weights * rare
        return RELATION_LOSSES[self.kind](logits, full, weights)


def relation_factors(layer: Assigned) -> Tensor | None:
    """m x R factors of the loss of the assigned queries' relations; None where all are 1."""
    if layer.columns is None and layer.predicate_weights is None:
        return None
    true = layer.targets.relations > 0
    factors = torch.ones_like(layer.targets.relations)
    if layer.predicate_weights is not None:
        factors = torch.where(true, layer.predicate_weights, factors)
    if layer.columns is not None:
        factors = factors.masked_fill(true & ~layer.columns, 0)
    return factors


@torch.no_grad()
def box_quality(layer: Assigned) -> Tensor:
    """m factors in [0, 1]: how well the worse box of each assigned query fits. A missing object counts as it
    does in matching, and no less than 0."""
    subjects = _giou(layer.pick(layer.prediction.subject_boxes), layer.targets.subject_boxes)
    objects = _giou(layer.pick(layer.prediction.object_boxes), layer.targets.object_boxes)
    objects = torch.where(layer.targets.has_object, objects, objects + subjects)
    return quality(subjects, objects).clamp(min=0)


def _giou(predicted: Tensor, target: Tensor) -> Tensor:
    return generalised_iou(xyxy_from_cxcywh(predicted), xyxy_from_cxcywh(target))
