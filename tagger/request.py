"""What a tagger is given for one image, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Candidate = tuple[int, int, str]
"""(subject, object, relation text); subject and object are indices into the image's boxes."""


@dataclass
class Request:
    """One image and its candidates.

    Args:
        image_id: names the image in results.
        pixels: 3 x H x W, uint8 (normalised on the device) or float32 (already normalised).
        boxes: n x 4 cxcywh in [0, 1].
        labels: category of each box.
        candidates: which relation texts to score for which pairs.
        classes: object names that the image's labels compete with; must contain `labels`.
    """

    image_id: str
    pixels: Tensor
    boxes: Tensor
    labels: Sequence[str]
    candidates: Sequence[Candidate]
    classes: Sequence[str]


@dataclass
class Result:
    """Scores of one image, all float32, one entry per candidate, in the order of the request.

    Args:
        image_id: of the request.
        scores: sigmoid of the relation logit.
        subject_scores, object_scores: softmax probability of the likeliest class of either end.
    """

    image_id: str
    scores: np.ndarray
    subject_scores: np.ndarray
    object_scores: np.ndarray


@dataclass
class Failure:
    """An image that could not be scored.

    Args:
        image_id: of the request.
        reason: `not_finite` or `out_of_memory`.
        detail: the sentence a person reads.
    """

    image_id: str
    reason: str
    detail: str
