"""Scores of a decoder call, as they are read back."""

from __future__ import annotations

from torch import Tensor

from relforge.models.blocks.prediction import Prediction


def values_of(prediction: Prediction, absent: Tensor | None) -> list[Tensor]:
    """Relation scores, subject scores and object scores of a call, each flat.

    Args:
        prediction: of N rows, those of an image next to each other.
        absent: see `best_class_probabilities`.
    """
    scores = prediction.relation_logits.float().sigmoid()
    return [scores.flatten(), *(one.flatten() for one in best_class_probabilities(prediction, absent))]


def best_class_probabilities(prediction: Prediction, absent: Tensor | None) -> tuple[Tensor, Tensor]:
    """Softmax probability of the likeliest class of every query, N x Q, of subjects and of objects. The
    softmax runs over the image's own labels and "no objects", never over padding.

    Args:
        prediction: of an R-Tagger, which classifies both ends.
        absent: B x object labels, True where an image has no such label; None: all have all.
    """
    assert prediction.subject_logits is not None
    subjects, objects = (
        _best(logits, absent) for logits in (prediction.subject_logits, prediction.object_logits)
    )
    return subjects, objects


def _best(logits: Tensor, absent: Tensor | None) -> Tensor:
    logits = logits.float()
    if absent is not None:
        rows = absent.repeat_interleave(len(logits) // len(absent), 0)
        logits = logits.masked_fill(rows[:, None], float("-inf"))
    return logits.softmax(-1).amax(-1)
