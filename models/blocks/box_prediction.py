"""What a detector of boxes returns: a box and class logits of every query, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class BoxPrediction:
    """What one decoder layer predicts; N images, Q queries.

    Args:
        boxes: N x Q x 4 cxcywh in [0, 1].
        logits: N x Q x (classes), and one more for "no objects", the last, unless classes are sigmoids.
        sigmoid: classes are trained one by one (Deformable DETR); otherwise they exclude each other (DETR).
    """

    boxes: Tensor
    logits: Tensor
    sigmoid: bool = False

    def probabilities(self) -> Tensor:
        """N x Q x (classes) in float32; "no objects" takes part in the softmax and is left out."""
        logits = self.logits.float()
        return logits.sigmoid() if self.sigmoid else logits.softmax(-1)[..., :-1]


@dataclass
class BoxOutput:
    """What a detector's `forward` returns.

    Args:
        layers: predictions of every decoder layer, the last one last.
    """

    layers: list[BoxPrediction]
