"""What a tagger is asked about one picture, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

NO_OBJECTS = "no objects"
"""The last object label of every label list: what an empty slot answers."""

Candidate = tuple[int, int, str]
"""(subject, object, relation text); subject and object count the picture's boxes from 0."""


@dataclass
class Question:
    """One picture and its candidates.

    Args:
        key: names the picture in answers.
        pixels: 3 x H x W, uint8 (normalised on the device) or float32 (already normalised).
        boxes: n x 4 cxcywh in [0, 1].
        labels: category of each box.
        candidates: which relations to ask for which pairs.
        classes: object names the picture's labels compete with; must contain `labels`.
    """

    key: str
    pixels: Tensor
    boxes: Tensor
    labels: Sequence[str]
    candidates: Sequence[Candidate]
    classes: Sequence[str]


@dataclass
class Answer:
    """Scores of one picture, all float32, one entry per asked candidate, in the order asked.

    Args:
        key: of the question.
        scores: sigmoid of the relation logit.
        subject_scores, object_scores: softmax probability of the likeliest class of either end.
    """

    key: str
    scores: np.ndarray
    subject_scores: np.ndarray
    object_scores: np.ndarray


@dataclass
class Failure:
    """A picture that could not be answered.

    Args:
        key: of the question.
        reason: `not_finite` or `out_of_memory`.
        detail: the sentence a person reads.
    """

    key: str
    reason: str
    detail: str
