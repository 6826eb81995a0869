"""The matching costs of Iterative SGG (NeurIPS 2022), which SpeaQ keeps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relforge.models.blocks.boxes import generalised_iou, xyxy_from_cxcywh
from relforge.models.blocks.prediction import Prediction
from relforge.models.speaq.relation_boxes import relation_boxes
from relforge.models.training.assign import Assignment, solve_tables
from relforge.models.training.precision import in_float32
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
    @in_float32
    def tables(self, layers: list[Prediction], targets: list[Targets]) -> list[Tensor]:
        """Costs of every image, L x Q x T, Q predicate queries. A target has one predicate."""
        subjects = [layer.subject_logits.softmax(-1) for layer in layers if layer.subject_logits is not None]
        objects = [layer.object_logits.softmax(-1) for layer in layers]
        relations = [self.probabilities(layer) for layer in layers]
        boxes = {
            role: torch.stack([getattr(layer, f"{role}_boxes") for layer in layers], 1) for role in ROLES
        }
        tables = []
        for image, target in enumerate(targets):
            ends = zip(subjects, objects, strict=True)
            right = torch.stack(
                [s[image][:, target.subject_labels] + o[image][:, target.object_labels] for s, o in ends]
            )  # L x P x T
            table = -self.labels * right
            table += self._boxes(boxes["subject"][image], target.subject_boxes)
            table += self._boxes(boxes["object"][image], target.object_boxes)
            table = table.repeat_interleave(layers[0].copies, 1)  # what follows is of predicate queries
            predicates = target.relations.argmax(1)
            table -= self.labels * torch.stack([one[image][:, predicates] for one in relations])
            wanted = relation_boxes(target.subject_boxes, target.object_boxes)
            tables.append(table + self._boxes(boxes["relation"][image], wanted))
        return tables

    def probabilities(self, prediction: Prediction) -> Tensor:
        """Softmax of the relation logits without the last, "no relation"."""
        return prediction.relation_logits.softmax(-1)[..., :-1]

    def _boxes(self, predicted: Tensor, wanted: Tensor) -> Tensor:
        """Costs L x Q x T of boxes L x Q x 4 for boxes T x 4, cxcywh."""
        corners = xyxy_from_cxcywh(predicted)[..., None, :], xyxy_from_cxcywh(wanted)
        return self.boxes * torch.cdist(predicted, wanted, p=1) - self.giou * generalised_iou(*corners)
