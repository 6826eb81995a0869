"""How a model's prediction becomes scored triplets: the form that evaluators and other users read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relforge.models.blocks.boxes import xyxy_from_cxcywh
from relforge.models.blocks.prediction import Prediction


@dataclass
class Detections:
    """The pairs of one image before any cut, float32 and on the CPU; Q queries, R relation labels.

    Args:
        subject_boxes, object_boxes: Q x 4 xyxy in [0, 1].
        subject_classes: Q indices into the object labels; None where the model has no subject class.
        object_classes: Q indices into the object labels.
        subject_scores, object_scores: Q probabilities of these classes; ones for a missing subject class.
        relation_scores: Q x R probabilities; of several predicate queries of a pair, the best of each.
    """

    subject_boxes: Tensor
    object_boxes: Tensor
    subject_classes: Tensor | None
    object_classes: Tensor
    subject_scores: Tensor
    object_scores: Tensor
    relation_scores: Tensor


def detections_of(prediction: Prediction) -> list[Detections]:
    """Detections of every row: the likeliest class of either end and the sigmoid of every relation logit,
    times the probability of a pair where the model has one.

    "No objects", the last object label, takes part in the softmax and is never a class.
    """
    logits = [best_of_copies(row, prediction.copies) for row in prediction.relation_logits]
    scores = torch.stack(logits).float().sigmoid()
    if prediction.pair_logits is not None:
        scores = scores * prediction.pair_logits.float().softmax(-1)[..., 1:]
    return detections_from(prediction, scores)


def detections_from(prediction: Prediction, relations: Tensor) -> list[Detections]:
    """Detections of every row with these probabilities of the relations, N x Q x R."""
    found = []
    for row in range(len(prediction.object_logits)):
        object_scores, object_classes = _best_class(prediction.object_logits[row])
        if prediction.subject_logits is None:
            subject_scores, subject_classes = object_scores.new_ones(len(object_scores)), None
        else:
            subject_scores, subject_classes = _best_class(prediction.subject_logits[row])
        found.append(
            Detections(
                subject_boxes=xyxy_from_cxcywh(prediction.subject_boxes[row].float().cpu()),
                object_boxes=xyxy_from_cxcywh(prediction.object_boxes[row].float().cpu()),
                subject_classes=subject_classes,
                object_classes=object_classes,
                subject_scores=subject_scores,
                object_scores=object_scores,
                relation_scores=relations[row].cpu(),
            )
        )
    return found


def best_of_copies(logits: Tensor, copies: int) -> Tensor:
    """Logits (Q * copies) x R of predicate queries as Q x R of pairs: the highest of each relation."""
    return logits if copies == 1 else logits.unflatten(0, (-1, copies)).amax(1)


def _best_class(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Probability and index of the likeliest class of every query."""
    scores, index = logits.float().softmax(-1)[:, :-1].max(-1)
    return scores.cpu(), index.cpu()
