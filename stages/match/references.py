"""Phrases that stand for another phrase of their caption: "each other", "they"."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from relforge.stages.match.words import words

RECIPROCAL = frozenset({("each", "other"), ("one", "another"), ("eachother",)})
"""As an object: what the subject is."""
PLURAL = frozenset({("they",)})
"""The subject of the caption's triplet before, as far as it is another phrase."""


def resolve_references(
    triplets: pa.Table, image: np.ndarray, subject: np.ndarray, object_: np.ndarray, phrases: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the phrases that subjects and objects stand for.

    Args:
        triplets: sorted by image, caption and triplet id.
        image: code of each triplet's image.
        subject, object_: codes into `phrases`.
    """
    said = [words(text) for text in phrases]
    each_other = np.array([text in RECIPROCAL for text in said] or [False])
    they = np.array([text in PLURAL for text in said] or [False])
    subject, object_ = subject.copy(), object_.copy()
    caption = triplets["caption_id"].to_numpy().astype(np.int64)
    for row in np.flatnonzero(they[subject]).tolist() if len(subject) else ():
        before = row - 1
        if before >= 0 and (image[before], caption[before]) == (image[row], caption[row]):
            subject[row] = subject[before]
    mutual = each_other[object_] if len(object_) else np.zeros(0, bool)
    object_[mutual] = subject[mutual]
    return subject, object_
