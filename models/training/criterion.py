"""Training losses of the family: every decoder layer supervised, terms named and weighted (paper §4.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from relforge.models.blocks.boxes import generalised_iou, xyxy_from_cxcywh
from relforge.models.rlipv2.model import Prediction
from relforge.models.training.losses import (
    box_giou,
    box_l1,
    label_cross_entropy,
    relation_cross_entropy,
    relation_focal,
    relation_quality_focal,
)
from relforge.models.training.matcher import MatchWeights, match
from relforge.models.training.relation_labels import quality
from relforge.models.training.targets import Targets, together

Assignment = list[tuple[Tensor, Tensor]]
"""Per picture, indices of slots and of the targets they answer for."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; the paper's lambdas."""

    boxes: float = 2.5
    giou: float = 1.0
    labels: float = 1.0
    relations: float = 1.0


@dataclass
class Losses:
    """Terms of one decoder layer, unweighted."""

    subject_boxes: Tensor
    object_boxes: Tensor
    subject_giou: Tensor
    object_giou: Tensor
    labels: Tensor
    relations: Tensor

    def total(self, weights: LossWeights) -> Tensor:
        boxes = weights.boxes * (self.subject_boxes + self.object_boxes)
        giou = weights.giou * (self.subject_giou + self.object_giou)
        return boxes + giou + weights.labels * self.labels + weights.relations * self.relations


@dataclass
class Matched:
    """Slots and targets that belong together, over all pictures: m pairs."""

    subject_boxes: Tensor
    object_boxes: Tensor
    wanted: Targets


def tagger_losses(prediction: Prediction, targets: list[Targets], pairs: float | None = None) -> Losses:
    """The R-Tagger's terms: slot j answers for pair j; empty slots count nowhere.

    Args:
        prediction: of one decoder layer.
        targets: one per picture.
        pairs: what subject box terms are divided by: the mean number of pairs per process. By default
            the number of pairs here.

    Returns:
        Terms; all zero for a batch without pairs.
    """
    device = prediction.subject_boxes.device
    assignment = [(torch.arange(len(t), device=device),) * 2 for t in targets]
    if not any(len(t) for t in targets):
        zero = _anything(prediction) * 0
        return Losses(zero, zero, zero, zero, zero, zero)
    wanted = together(targets)
    subject_logits = _pick(prediction.subject_logits, assignment)
    object_logits = _pick(prediction.object_logits, assignment)
    labels = label_cross_entropy(subject_logits, wanted.subject_labels)
    labels = labels + label_cross_entropy(object_logits, wanted.object_labels)
    relations = relation_focal(_pick(prediction.relation_logits, assignment), wanted.relations)
    return Losses(*_box_terms(_matched(prediction, targets, assignment), pairs), labels, relations)


def search_losses(
    prediction: Prediction,
    targets: list[Targets],
    *,
    relations: str = "quality",
    pseudo: Tensor | None = None,
    smoothing: float = 0.1,
    pairs: float | None = None,
    match_weights: MatchWeights | None = None,
) -> Losses:
    """ParSeD's and ParSeDA's terms: slots are assigned by cost, the rest answer "no objects", no relation.

    Args:
        prediction: of one decoder layer.
        targets: one per picture.
        relations: a key of `RELATION_TARGETS`.
        pseudo: n x R scores of `pseudo_labels` for all targets in order, added to their relations before
            they are scaled; needs `quality`.
        smoothing: of labels and relations, for `smooth` only.
        pairs: see `tagger_losses`.
        match_weights: see `match`.
    """
    if relations not in RELATION_TARGETS:
        raise ValueError(
            f"unknown relation targets {relations!r}; choose one of {', '.join(RELATION_TARGETS)}"
        )
    if pseudo is not None and relations != "quality":
        raise ValueError(f"pseudo labels are soft and need relation targets 'quality', not {relations!r}")
    assignment = match(prediction, targets, match_weights)
    matched = _matched(prediction, targets, assignment)
    wanted = matched.wanted
    smoothing = smoothing if relations == "smooth" else 0.0
    labels = _label_loss(prediction.subject_logits, assignment, wanted.subject_labels, smoothing)
    labels = labels + _label_loss(prediction.object_logits, assignment, wanted.object_labels, smoothing)
    held = wanted.relations
    if pseudo is not None:
        held = held + pseudo[_flat_targets(targets, assignment)]
    if relations == "quality":
        held = held * _fit(matched)[:, None]
    elif relations == "smooth":
        held = held * (1 - smoothing) + smoothing / held.shape[1]
    answers = held.new_zeros(prediction.relation_logits.shape).index_put(_slots(assignment), held)
    loss = RELATION_TARGETS[relations](prediction.relation_logits, answers)
    return Losses(*_box_terms(matched, pairs), labels, loss)


RELATION_TARGETS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "quality": relation_quality_focal,
    "focal": relation_focal,
    "smooth": relation_quality_focal,
    "bce": relation_cross_entropy,
}
"""How relations are trained: Relation Quality Labels (published pre-training), or the plain focal loss,
smoothed labels, or binary cross-entropy to compare with."""


def _label_loss(logits: Tensor, assignment: Assignment, wanted: Tensor, smoothing: float) -> Tensor:
    labels = torch.full(logits.shape[:2], logits.shape[-1] - 1, device=logits.device)
    labels[_slots(assignment)] = wanted
    return label_cross_entropy(logits, labels, smoothing)


def _fit(matched: Matched) -> Tensor:
    with torch.no_grad():
        return quality(
            _giou(matched.subject_boxes, matched.wanted.subject_boxes),
            _giou(matched.object_boxes, matched.wanted.object_boxes),
        )


def _giou(predicted: Tensor, wanted: Tensor) -> Tensor:
    return generalised_iou(xyxy_from_cxcywh(predicted), xyxy_from_cxcywh(wanted))


def _box_terms(matched: Matched, pairs: float | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """L1 and GIoU of subjects and objects. An object box of zeros does not exist and counts nowhere."""
    wanted = matched.wanted
    there = (wanted.object_boxes != 0).any(1)
    subjects = max(1.0, float(len(wanted)) if pairs is None else pairs)
    objects = there.sum() + 1e-4
    found, right = matched.object_boxes[there], wanted.object_boxes[there]
    return (
        box_l1(matched.subject_boxes, wanted.subject_boxes, subjects),
        box_l1(found, right, objects),
        box_giou(matched.subject_boxes, wanted.subject_boxes, subjects),
        box_giou(found, right, objects),
    )


def _matched(prediction: Prediction, targets: list[Targets], assignment: Assignment) -> Matched:
    order = _flat_targets(targets, assignment)
    wanted = together(targets)
    return Matched(
        subject_boxes=_pick(prediction.subject_boxes, assignment),
        object_boxes=_pick(prediction.object_boxes, assignment),
        wanted=Targets(
            wanted.subject_boxes[order],
            wanted.object_boxes[order],
            wanted.subject_labels[order],
            wanted.object_labels[order],
            wanted.relations[order],
        ),
    )


def _slots(assignment: Assignment) -> tuple[Tensor, Tensor]:
    """(picture, slot) of every assigned slot."""
    rows = [torch.full_like(slots, i) for i, (slots, _) in enumerate(assignment)]
    return torch.cat(rows), torch.cat([slots for slots, _ in assignment])


def _flat_targets(targets: list[Targets], assignment: Assignment) -> Tensor:
    """Index into the joined targets of every assigned slot."""
    start, out = 0, []
    for target, (_, chosen) in zip(targets, assignment, strict=True):
        out.append(chosen + start)
        start += len(target)
    return torch.cat(out)


def _pick(rows: Tensor, assignment: Assignment) -> Tensor:
    return rows[_slots(assignment)]


def _anything(prediction: Prediction) -> Tensor:
    """A number that depends on every output, so that a zero loss still has a gradient path."""
    return (
        prediction.subject_boxes.sum()
        + prediction.object_boxes.sum()
        + prediction.subject_logits.sum()
        + prediction.object_logits.sum()
        + prediction.relation_logits.sum()
    )
