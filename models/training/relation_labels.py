"""Soft relation targets of pre-training: Relation Quality Labels and Relation Pseudo-Labels (RLIPv1)."""

from __future__ import annotations

import torch
from torch import Tensor

PSEUDO_LABEL_FLOOR = 0.3


def pseudo_labels(relations: Tensor, features: Tensor) -> Tensor:
    """Scores of relation labels that mean nearly the same as a pair's own (Relation Pseudo-Labels).

    Similarity is the largest distance of a label's row less the distance to each other label; a pair's
    own labels are summed, scaled to 1 at most and set to zero, and what is left below the floor is dropped.

    Args:
        relations: n x R multi-hot targets.
        features: R x text_dim label features before fusion.

    Returns:
        n x R in [0, 1], to be added to `relations`. The gradient flows into `features` unless they are
        detached; the published training lets it (docs/method.md, "Relation targets of pre-training").
    """
    distance = torch.cdist(features, features)
    similarity = distance.max(1, keepdim=True).values - distance
    scores = relations @ similarity
    scores = scores / scores.max(1, keepdim=True).values
    scores = scores.masked_fill(relations > 0, 0)
    return scores * (scores > PSEUDO_LABEL_FLOOR)


def quality(subject_giou: Tensor, object_giou: Tensor) -> Tensor:
    """Factor n in [0, 1] for the targets of matched pairs: how well the worse box fits (Quality Labels).

    Args:
        subject_giou, object_giou: n generalised IoUs of matched boxes, in [-1, 1].
    """
    return (torch.minimum(subject_giou, object_giou) + 1) / 2
