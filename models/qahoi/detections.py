"""How the published QAHOI reads its queries: the likeliest (query, class) combinations of an image."""

from __future__ import annotations

import torch

from relforge.models.blocks.boxes import xyxy_from_cxcywh
from relforge.models.blocks.prediction import Prediction
from relforge.models.detections import Detections

COMBINATIONS = 100


def best_classes(prediction: Prediction) -> list[Detections]:
    """Detections of every row: the 100 likeliest combinations of a query and a class, the best first, so that
    a query may appear with several classes.

    The classes' softmax is taken even where they are trained with sigmoids, as published.
    """
    found = []
    for row in range(len(prediction.object_logits)):
        probability = prediction.object_logits[row].float().softmax(-1).cpu()
        if not prediction.sigmoid_objects:
            probability = probability[:, :-1]
        scores, index = probability.flatten().topk(min(COMBINATIONS, probability.numel()))
        query = index // probability.shape[1]
        found.append(
            Detections(
                subject_boxes=xyxy_from_cxcywh(prediction.subject_boxes[row].float().cpu())[query],
                object_boxes=xyxy_from_cxcywh(prediction.object_boxes[row].float().cpu())[query],
                subject_classes=None,
                object_classes=index % probability.shape[1],
                subject_scores=torch.ones_like(scores),
                object_scores=scores,
                relation_scores=prediction.relation_logits[row].float().sigmoid().cpu()[query],
            )
        )
    return found
