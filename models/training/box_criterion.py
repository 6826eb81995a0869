"""Assignment and losses of detectors of boxes: DETR's, and Deformable DETR's for classes with sigmoids.

Carion et al., ECCV 2020; Zhu et al., ICLR 2021. The form of the class terms follows the prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from relforge.models.blocks.box_prediction import BoxOutput, BoxPrediction
from relforge.models.blocks.boxes import generalised_iou, xyxy_from_cxcywh
from relforge.models.training.assign import Assignment, solve
from relforge.models.training.box_targets import BoxTargets
from relforge.models.training.losses import (
    FOCAL_ALPHA,
    box_giou,
    box_l1,
    label_cross_entropy,
    object_focal,
)
from relforge.models.training.precision import in_float32

WEIGHTS = {"labels": 1.0, "boxes": 5.0, "giou": 2.0}
"""DETR's; Deformable DETR weighs labels by 2."""


@dataclass(frozen=True)
class BoxCriterion:
    """Weighted sum over the decoder layers; the same weights serve the assignment.

    Args:
        weights: `labels`, `boxes` (L1) and `giou`; those left out are `WEIGHTS`.

    Raises:
        ValueError: a weight of a term that there is not.
    """

    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.weights:
            if name not in WEIGHTS:
                raise ValueError(f"losses.weights.{name}: there is no such term; {', '.join(WEIGHTS)} are")

    @in_float32
    def __call__(self, output: BoxOutput, targets: list[BoxTargets], pairs: float) -> dict[str, Tensor]:
        """`total` over all layers, and the last layer's terms by name, unweighted.

        Args:
            output: of the model.
            targets: one per image.
            pairs: mean number of target boxes per process, at least 1.
        """
        totals, terms = [], {}
        for layer in output.layers:
            terms = self._terms(layer, targets, pairs)
            totals.append(torch.stack([self._weight(name) * term for name, term in terms.items()]).sum())
        return {"total": torch.stack(totals).sum(), **terms}

    @in_float32
    def assign(self, layer: BoxPrediction, targets: list[BoxTargets]) -> Assignment:
        """The cheapest one-to-one assignment of every image, (queries, targets)."""
        return solve(self._costs(layer, targets), [len(target) for target in targets])

    @torch.no_grad()
    def _costs(self, layer: BoxPrediction, targets: list[BoxTargets]) -> Tensor:
        """(queries of all images) x (targets of all images)."""
        boxes = layer.boxes.flatten(0, 1)
        wanted = torch.cat([target.boxes for target in targets])
        labels = torch.cat([target.labels for target in targets])
        probability = layer.probabilities().flatten(0, 1)[:, labels]
        costs = self._weight("labels") * (_focal_cost(probability) if layer.sigmoid else -probability)
        costs = costs + self._weight("boxes") * torch.cdist(boxes, wanted, p=1)
        corners = xyxy_from_cxcywh(boxes)[:, None], xyxy_from_cxcywh(wanted)[None]
        return costs - self._weight("giou") * generalised_iou(*corners)

    def _terms(self, layer: BoxPrediction, targets: list[BoxTargets], count: float) -> dict[str, Tensor]:
        assignment = self.assign(layer, targets)
        image = torch.cat([torch.full_like(queries, i) for i, (queries, _) in enumerate(assignment)])
        query = torch.cat([queries for queries, _ in assignment])
        pairs = list(zip(targets, assignment, strict=True))
        boxes = torch.cat([target.boxes[chosen] for target, (_, chosen) in pairs])
        none = layer.logits.shape[-1] - (0 if layer.sigmoid else 1)
        labels = torch.full(layer.logits.shape[:2], none, device=layer.logits.device)
        labels[image, query] = torch.cat([target.labels[chosen] for target, (_, chosen) in pairs])
        predicted = layer.boxes[image, query]
        of_labels = (
            object_focal(layer.logits, labels, count)
            if layer.sigmoid
            else label_cross_entropy(layer.logits, labels)
        )
        return {
            "labels": of_labels,
            "boxes": box_l1(predicted, boxes, count),
            "giou": box_giou(predicted, boxes, count),
        }

    def _weight(self, name: str) -> float:
        return self.weights.get(name, WEIGHTS[name])


def _focal_cost(probability: Tensor) -> Tensor:
    right = FOCAL_ALPHA * (1 - probability) ** 2 * -(probability + 1e-8).log()
    return right - (1 - FOCAL_ALPHA) * probability**2 * -(1 - probability + 1e-8).log()
