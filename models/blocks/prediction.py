"""What a model takes beside images, and what it returns: label lists, predictions, the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class Labels:
    """The label lists that every image of a batch is scored against.

    Args:
        objects: object names; the last one is `NO_OBJECTS`, the class of a query that matches nothing.
        relations: relation names.
        features: text features of objects, then relations, T x width, where they are computed already; None
            lets the model compute them, or it has no text encoder.
    """

    objects: Sequence[str]
    relations: Sequence[str]
    features: Tensor | None = None


@dataclass
class Prediction:
    """What one decoder layer predicts; N rows (images, or decoder batches of images), Q pair queries.

    Relations have Q predicate queries, or a multiple of it: those of a pair stand next to each other.

    Args:
        subject_boxes, object_boxes: N x Q x 4 cxcywh in [0, 1].
        subject_logits: N x Q x (object labels); None where the model has no subject class.
        object_logits: N x Q x (object labels).
        relation_logits: N x Q x (relation labels).
        sigmoid_objects: object classes are trained one by one, with sigmoids, and there is no logit for
            "no objects" (the published QAHOI). Otherwise they exclude each other, and the last is that.
        pair_logits: N x Q x 2, whether a query holds a pair (the second logit); None where the model does not
            say (all but CDN with its matching head).
        relation_boxes: N x Q x 4 cxcywh, the box between the centres of subject and object; None where the
            model has none (all but SpeaQ).
    """

    subject_boxes: Tensor
    object_boxes: Tensor
    subject_logits: Tensor | None
    object_logits: Tensor
    relation_logits: Tensor
    sigmoid_objects: bool = False
    pair_logits: Tensor | None = None
    relation_boxes: Tensor | None = None

    @property
    def copies(self) -> int:
        """Predicate queries of a pair."""
        return self.relation_logits.shape[1] // self.subject_boxes.shape[1]


def repeat_pairs(prediction: Prediction) -> Prediction:
    """The same with boxes and classes once for every predicate query."""
    copies = prediction.copies
    if copies == 1:
        return prediction

    def repeat(values: Tensor) -> Tensor:
        return values.repeat_interleave(copies, 1)

    subjects, holds = prediction.subject_logits, prediction.pair_logits
    return replace(
        prediction,
        subject_boxes=repeat(prediction.subject_boxes),
        object_boxes=repeat(prediction.object_boxes),
        subject_logits=None if subjects is None else repeat(subjects),
        object_logits=repeat(prediction.object_logits),
        pair_logits=None if holds is None else repeat(holds),
    )


@dataclass
class Output:
    """What a model's `forward` returns.

    Args:
        layers: predictions of every supervised layer, the last one last.
        relation_features: R x width text features of the relation labels; None for closed labels.
        terms: loss terms that depend on the model alone and not on any target, by name, one number each.
    """

    layers: list[Prediction]
    relation_features: Tensor | None = None
    terms: Mapping[str, Tensor] = field(default_factory=dict)
