"""Which query is trained for which labelled pair: the protocol and its two plain forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from relforge.models.blocks.boxes import generalised_iou, xyxy_from_cxcywh
from relforge.models.blocks.prediction import Prediction, repeat_pairs
from relforge.models.training.losses import FOCAL_ALPHA
from relforge.models.training.precision import in_float32
from relforge.models.training.targets import Targets, concatenate_targets

Assignment = list[tuple[Tensor, Tensor]]
"""Per image (queries, targets), two index tensors of equal length. A query occurs once at most; a target may
occur several times, where an assigner clones it."""


class NotFinite(FloatingPointError, ValueError):
    """Costs that no assignment can be found for."""


class Assigner(Protocol):
    """Assigns queries to targets, for one decoder layer."""

    def assign(self, prediction: Prediction, targets: list[Targets]) -> Assignment:
        """One entry per image; rows of `prediction` are images."""


@runtime_checkable
class Matcher(Assigner, Protocol):
    """An assigner by cost, whose costs others may change: repeat targets, keep queries from them."""

    def tables(self, layers: list[Prediction], targets: list[Targets]) -> list[Tensor]:
        """Costs of every image, L x Q x T: of the predicate queries of L layers for the image's targets."""

    def probabilities(self, prediction: Prediction) -> Tensor:
        """Of every relation label, N x Q x R."""


@dataclass(frozen=True)
class MatchWeights:
    """Weights of the cost terms; the paper's lambdas."""

    labels: float = 1.0
    relations: float = 1.0
    boxes: float = 2.5
    giou: float = 1.0
    pairs: float = 1.0


@dataclass
class Costs:
    """Cost terms, each (all queries of all images) x (all targets of all images).

    Args:
        subject_labels: minus the probability of the right label; None where the model has no subject class.
        object_labels: likewise; where objects have sigmoids, Deformable DETR's focal form.
        relations: minus the mean of the probabilities of being right, over true and over false relations.
        boxes: the larger L1 distance of subject and object.
        giou: the larger of both boxes' minus generalised IoU.
        pairs: minus the probability that the query holds a pair, one column; None where the model does not
            say.
    """

    subject_labels: Tensor | None
    object_labels: Tensor
    relations: Tensor
    boxes: Tensor
    giou: Tensor
    pairs: Tensor | None = None

    def total(self, weights: MatchWeights) -> Tensor:
        """Weighted sum of the terms."""
        labels = self.object_labels
        if self.subject_labels is not None:
            labels = self.subject_labels + labels
        total = weights.labels * labels + weights.relations * self.relations
        if self.pairs is not None:
            total = total + weights.pairs * self.pairs
        return total + weights.boxes * self.boxes + weights.giou * self.giou


@torch.no_grad()
@in_float32
def matching_costs(prediction: Prediction, targets: Targets) -> Costs:
    """Cost terms of every query against every target (of all images, concatenated).

    A target without object costs nothing for the object's L1 distance; its GIoU with the box of zeros is
    added to the subject's, as published (QPIC and all that follow it), so that queries with a large object
    box near the upper left corner are preferred for it.
    """
    subject_boxes = prediction.subject_boxes.flatten(0, 1)
    object_boxes = prediction.object_boxes.flatten(0, 1)
    has_object = targets.has_object
    probability = prediction.relation_logits.flatten(0, 1).sigmoid()
    true = targets.relations
    right = probability @ true.T / (true.sum(1) + 1e-4)
    right = right + (1 - probability) @ (1 - true).T / ((1 - true).sum(1) + 1e-4)
    giou_subject = _giou_cost(subject_boxes, targets.subject_boxes)
    giou_object = _giou_cost(object_boxes, targets.object_boxes)
    giou_object = torch.where(has_object, giou_object, giou_object + giou_subject)
    subject_labels = None
    if prediction.subject_logits is not None:
        subject_labels = -_label_probability(prediction.subject_logits)[:, targets.subject_labels]
    return Costs(
        subject_labels=subject_labels,
        object_labels=_object_cost(prediction)[:, targets.object_labels],
        relations=-right / 2,
        boxes=torch.maximum(
            torch.cdist(subject_boxes, targets.subject_boxes, p=1),
            torch.cdist(object_boxes, targets.object_boxes, p=1) * has_object,
        ),
        giou=torch.maximum(giou_subject, giou_object),
        pairs=None if prediction.pair_logits is None else -_label_probability(prediction.pair_logits)[:, 1:],
    )


@dataclass(frozen=True)
class Hungarian:
    """The cheapest one-to-one assignment of every image (DETR).

    Args:
        weights: of the cost terms.
    """

    weights: MatchWeights = MatchWeights()

    def assign(self, prediction: Prediction, targets: list[Targets]) -> Assignment:
        """Queries ascending.

        Raises:
            NotFinite: a cost is not finite, which means that the model's output is not.
        """
        return solve(self._costs(prediction, targets), [len(target) for target in targets])

    def tables(self, layers: list[Prediction], targets: list[Targets]) -> list[Tensor]:
        """Costs of every image, L x Q x T, Q predicate queries."""
        costs = torch.stack([self._costs(repeat_pairs(layer), targets) for layer in layers])
        per_image = costs.unflatten(1, (len(targets), -1)).unbind(1)
        ends = torch.tensor([len(target) for target in targets]).cumsum(0).tolist()
        return [
            table[..., end - len(target) : end]
            for table, end, target in zip(per_image, ends, targets, strict=True)
        ]

    def probabilities(self, prediction: Prediction) -> Tensor:
        """Sigmoids of the relation logits."""
        return prediction.relation_logits.sigmoid()

    def _costs(self, prediction: Prediction, targets: list[Targets]) -> Tensor:
        return matching_costs(prediction, concatenate_targets(targets)).total(self.weights)


def solve(costs: Tensor, sizes: list[int]) -> Assignment:
    """The cheapest one-to-one assignment per image.

    Args:
        costs: (queries of all images) x (targets of all images), every image with as many queries.
        sizes: targets of each image.

    Raises:
        ValueError: a cost is not finite.
    """
    ends = torch.tensor(sizes).cumsum(0).tolist()
    per_image = costs.unflatten(0, (len(sizes), -1))
    return solve_tables(
        [table[:, end - size : end] for table, size, end in zip(per_image, sizes, ends, strict=True)]
    )


def solve_tables(tables: list[Tensor]) -> Assignment:
    """The cheapest one-to-one assignment of every image, from its costs Q x T.

    Raises:
        ValueError: a cost is not finite.
    """
    check_finite(torch.cat([table.flatten() for table in tables]))
    assignment = []
    for table in tables:
        queries, chosen = linear_sum_assignment(table.cpu())
        device = table.device
        assignment.append((torch.as_tensor(queries, device=device), torch.as_tensor(chosen, device=device)))
    return assignment


def check_finite(costs: Tensor) -> None:
    """Refuse costs that no assignment can be found for."""
    if not bool(costs.isfinite().all()):
        raise NotFinite("matching costs are not finite: the model's boxes or logits hold NaN or infinity")


@dataclass(frozen=True)
class IndexAligned:
    """Query j belongs to target j: the pairs were given (R-Tagger)."""

    def assign(self, prediction: Prediction, targets: list[Targets]) -> Assignment:
        """All targets of every image."""
        device = prediction.subject_boxes.device
        return [(torch.arange(len(target), device=device),) * 2 for target in targets]


def _object_cost(prediction: Prediction) -> Tensor:
    """(all queries) x C."""
    probability = _label_probability(prediction.object_logits)
    if not prediction.sigmoid_objects:
        return -probability
    # of the softmax, though the loss is one of sigmoids: as published
    right = FOCAL_ALPHA * (1 - probability) ** 2 * -(probability + 1e-8).log()
    return right - (1 - FOCAL_ALPHA) * probability**2 * -(1 - probability + 1e-8).log()


def _label_probability(logits: Tensor) -> Tensor:
    return logits.flatten(0, 1).softmax(-1)


def _giou_cost(predicted: Tensor, target: Tensor) -> Tensor:
    return -generalised_iou(xyxy_from_cxcywh(predicted)[:, None], xyxy_from_cxcywh(target)[None])
