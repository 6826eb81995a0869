"""Loss terms on assigned pairs (docs/method.md, "Assignment and losses"). Each returns one number."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.models.blocks.boxes import generalised_iou, xyxy_from_cxcywh

NO_OBJECT_WEIGHT = 0.1  # of the last class, "no objects"
FOCAL_ALPHA = 0.25  # share of the right class in the focal loss of objects
PROBABILITY_MARGIN = 1e-6  # keeps the logarithms of the hard focal loss finite


def box_l1(predicted: Tensor, target: Tensor, count: float | Tensor) -> Tensor:
    """Sum of absolute coordinate errors of n x 4 boxes, over `count`."""
    return F.l1_loss(predicted, target, reduction="sum") / count


def box_giou(predicted: Tensor, target: Tensor, count: float | Tensor) -> Tensor:
    """Sum of 1 - generalised IoU of n cxcywh boxes, over `count`."""
    giou = generalised_iou(xyxy_from_cxcywh(predicted), xyxy_from_cxcywh(target))
    return (1 - giou).sum() / count


def label_cross_entropy(
    logits: Tensor, labels: Tensor, smoothing: float = 0.0, weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy of logits (..., T) and indices (...); without weights T of the classes the last one is
    weighted `NO_OBJECT_WEIGHT`."""
    if weight is None:
        weight = torch.ones(logits.shape[-1], device=logits.device)
        weight[-1] = NO_OBJECT_WEIGHT
    return F.cross_entropy(logits.flatten(0, -2).float(), labels.flatten(), weight, label_smoothing=smoothing)


def object_focal(logits: Tensor, labels: Tensor, count: float) -> Tensor:
    """Focal loss (alpha 0.25, gamma 2) of sigmoids, summed over all queries, over `count`.

    Args:
        logits: N x Q x C.
        labels: N x Q; C where the query has no object.
    """
    logits = logits.float()
    target = F.one_hot(labels, logits.shape[-1] + 1)[..., :-1].to(logits.dtype)
    p = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weight = torch.where(target == 1, FOCAL_ALPHA * (1 - p) ** 2, (1 - FOCAL_ALPHA) * p**2)
    return (weight * entropy).sum() / count


def relation_focal(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """CornerNet's focal loss of multi-hot targets, over the number of true relations.

    (1 - p)^2 log p where a relation holds, p^2 log(1 - p) where it does not. `weights`, of the same shape,
    are factors of the entries.
    """
    p = logits.float().sigmoid().clamp(PROBABILITY_MARGIN, 1 - PROBABILITY_MARGIN)
    positive = targets == 1
    entries = torch.where(positive, (1 - p) ** 2 * p.log(), p**2 * (1 - p).log())
    loss = -(entries if weights is None else weights * entries).sum()
    count = positive.sum()
    return loss / count if count else loss


def relation_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of multi-hot targets, averaged over all entries; `weights` are their factors."""
    return F.binary_cross_entropy_with_logits(logits.float(), targets, weights)


def relation_quality_focal(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Quality focal loss (GFL, beta 2) of soft targets in [0, 1], over the number of targets above 0.

    `weights`, of the same shape, are factors of the entries.
    """
    logits = logits.float()
    weight = (targets - logits.sigmoid()).abs() ** 2
    if weights is not None:
        weight = weight * weights
    loss = (weight * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")).sum()
    count = (targets > 0).sum()
    return loss / count if count else loss
