"""Hungarian assignment of pair slots to labelled pairs (reference §2.10)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from relforge.models.blocks.boxes import generalised_iou, xyxy_from_cxcywh
from relforge.models.rlipv2.model import Prediction
from relforge.models.training.targets import Targets, together


@dataclass(frozen=True)
class MatchWeights:
    """Weights of the cost terms; the paper's lambdas."""

    labels: float = 1.0
    relations: float = 1.0
    boxes: float = 2.5
    giou: float = 1.0


@dataclass
class Costs:
    """Cost terms, each (all slots of all pictures) x (all targets of all pictures).

    Args:
        subject_labels, object_labels: minus the probability of the right label.
        relations: minus the mean of the probabilities of right answers, over held and not-held labels.
        boxes: the larger L1 distance of subject and object.
        giou: the larger of both boxes' minus generalised IoU.
    """

    subject_labels: Tensor
    object_labels: Tensor
    relations: Tensor
    boxes: Tensor
    giou: Tensor

    def total(self, weights: MatchWeights) -> Tensor:
        labels = weights.labels * (self.subject_labels + self.object_labels)
        relations = weights.relations * self.relations
        return labels + relations + weights.boxes * self.boxes + weights.giou * self.giou


@torch.no_grad()
def costs(prediction: Prediction, targets: Targets) -> Costs:
    """Cost terms of every slot against every target (of all pictures, joined)."""
    subject_boxes = prediction.subject_boxes.flatten(0, 1)
    object_boxes = prediction.object_boxes.flatten(0, 1)
    there = (targets.object_boxes != 0).any(1)  # V-COCO knows relations without an object
    probability = prediction.relation_logits.flatten(0, 1).sigmoid()
    held = targets.relations
    right = probability @ held.T / (held.sum(1) + 1e-4)
    right = right + (1 - probability) @ (1 - held).T / ((1 - held).sum(1) + 1e-4)
    giou_subject = _giou_cost(subject_boxes, targets.subject_boxes)
    giou_object = _giou_cost(object_boxes, targets.object_boxes)
    return Costs(
        subject_labels=-_label_probability(prediction.subject_logits)[:, targets.subject_labels],
        object_labels=-_label_probability(prediction.object_logits)[:, targets.object_labels],
        relations=-right / 2,
        boxes=torch.maximum(
            torch.cdist(subject_boxes, targets.subject_boxes, p=1),
            torch.cdist(object_boxes, targets.object_boxes, p=1) * there,
        ),
        giou=torch.maximum(giou_subject, torch.where(there, giou_object, giou_subject)),
    )


@torch.no_grad()
def match(
    prediction: Prediction, targets: list[Targets], weights: MatchWeights | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Cheapest one-to-one assignment per picture.

    Returns:
        Per picture (slots, targets), two index tensors of equal length, slots ascending.

    Raises:
        ValueError: a cost is not finite, which means that the model's output is not.
    """
    joined = together(targets)
    table = costs(prediction, joined).total(weights or MatchWeights())
    if not bool(table.isfinite().all()):
        raise ValueError("matching costs are not finite: the model's boxes or logits hold NaN or infinity")
    per_picture = table.unflatten(0, (len(targets), -1)).cpu()
    out, start = [], 0
    device = joined.subject_boxes.device
    for i, target in enumerate(targets):
        part = per_picture[i, :, start : start + len(target)]
        slots, chosen = linear_sum_assignment(part)
        out.append((torch.as_tensor(slots, device=device), torch.as_tensor(chosen, device=device)))
        start += len(target)
    return out


def _label_probability(logits: Tensor) -> Tensor:
    return logits.flatten(0, 1).softmax(-1)


def _giou_cost(predicted: Tensor, wanted: Tensor) -> Tensor:
    return -generalised_iou(xyxy_from_cxcywh(predicted)[:, None], xyxy_from_cxcywh(wanted)[None])
