"""The matching costs of Iterative SGG (NeurIPS 2022), which SpeaQ keeps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relforge.models.blocks.boxes import generalised_iou, xyxy_from_cxcywh
from relforge.models.blocks.prediction import Prediction, repeat_pairs
from relforge.models.speaq.relation_boxes import relation_boxes
from relforge.models.training.assign import Assignment, solve_tables
from relforge.models.training.targets import Targets

ROLES = ("subject", "object", "relation")


@dataclass(frozen=True)
class TripletCosts:
    """What a query costs for a triplet: minus three probabilities, and how far three boxes are away.

    Args:
        labels, boxes, giou: weights of the probabilities of subject, predicate and object, of the boxes' L1
            distances and of their generalised IoUs; each is the sum of the three.
    """

    labels: float = 1.0
    boxes: float = 5.0
    giou: float = 2.0

    def assign(self, prediction: Prediction, targets: list[Targets]) -> Assignment:
        """The cheapest assignment of one layer, see `Assigner`."""
        return solve_tables([table[0] for table in self.tables([prediction], targets)])

    @torch.no_grad()
    def tables(self, layers: list[Prediction], targets: list[Targets]) -> list[Tensor]:
        """Costs of every image, L x Q x T, Q predicate queries. A target has one predicate."""
        layers = [repeat_pairs(layer) for layer in layers]
        subjects, objects, relations = (
            _stack([getattr(layer, f"{role}_logits") for layer in layers]).softmax(-1) for role in ROLES
        )  # N x L x Q x C
        boxes = [_stack([getattr(layer, f"{role}_boxes") for layer in layers]) for role in ROLES]
        tables = []
        for image, target in enumerate(targets):
            right = subjects[image][..., target.subject_labels] + objects[image][..., target.object_labels]
            right = right + relations[image][..., target.relations.argmax(1)]
            table = -self.labels * right
            for predicted, wanted in zip(boxes, _boxes(target), strict=True):
                corners = xyxy_from_cxcywh(predicted[image])[..., None, :], xyxy_from_cxcywh(wanted)
                table += self.boxes * torch.cdist(predicted[image], wanted, p=1)
                table -= self.giou * generalised_iou(*corners)
            tables.append(table)
        return tables

    def probabilities(self, prediction: Prediction) -> Tensor:
        """Softmax of the relation logits without the last, "no relation"."""
        return prediction.relation_logits.softmax(-1)[..., :-1]


def _stack(tensors: list[Tensor]) -> Tensor:
    """N x Q x ... of L layers as N x L x Q x ..."""
    return torch.stack(tensors, 1)


def _boxes(target: Targets) -> tuple[Tensor, Tensor, Tensor]:
    return (
        target.subject_boxes,
        target.object_boxes,
        relation_boxes(target.subject_boxes, target.object_boxes),
    )
