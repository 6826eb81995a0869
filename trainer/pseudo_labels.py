"""Captions' labels as training targets, and the student's own vote in a second round."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from relforge.data.image_labels import ImageLabels
from relforge.stages.image_labels.table import AMBIGUOUS, POSITIVE

_SURE = 0.5
"""A vote from which a positive label counts fully."""
_TEMPERATURES = np.geomspace(0.1, 100, 61)


def pseudo_targets(data: ImageLabels, empty_weight: float) -> tuple[np.ndarray, np.ndarray]:
    """Targets and weights, N x C float32.

    A positive label weighs its vote, fully from a half on; an open one nothing; negatives and labels of
    absent objects 1. Images without a positive label weigh `empty_weight`.
    """
    assert data.votes is not None
    positive = data.states == POSITIVE
    weights = np.where(positive, np.minimum(1, data.votes / _SURE), 1.0)
    weights[data.states == AMBIGUOUS] = 0
    weights[~positive.any(1)] *= empty_weight
    return positive.astype(np.float32), weights.astype(np.float32)


def held_out_rows(image_ids: Sequence[str], share: float) -> np.ndarray:
    """N bool: about that share of the images, by a hash of the id."""
    digests = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") for name in image_ids]
    return np.array(digests) < share * 2**32


def fit_temperature(logits: np.ndarray, data: ImageLabels) -> float:
    """The T of sigmoid(logit / T) that fits the captions' labels best, open ones left out.

    Raises:
        ValueError: no held-out image has a positive label.
    """
    counted = data.states != AMBIGUOUS
    shown = data.states == POSITIVE
    if not shown.any():
        raise ValueError("held_out: no held-out image has a positive label; hold out more, or use rounds: 1")
    signed = np.where(shown, -logits, logits)[counted].astype(float)
    losses = [np.logaddexp(0, signed / t).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def vote_again(data: ImageLabels, logits: np.ndarray, temperature: float, positive: float) -> ImageLabels:
    """Labels after the student has voted: the mean of both votes decides labels of present objects.

    Args:
        logits: N x C of the student.
        positive: mean vote from which a label is positive; positives below it become open.
    """
    assert data.votes is not None
    student = 1 / (1 + np.exp(-logits.astype(float) / temperature))
    votes = (data.votes + student) / 2
    states = data.states.copy()
    judged = (states == POSITIVE) | (states == AMBIGUOUS)
    states[judged] = np.where(votes[judged] >= positive, POSITIVE, AMBIGUOUS)
    return replace(data, states=states, votes=votes.astype(np.float32))
