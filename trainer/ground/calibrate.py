"""Logits to probabilities by two numbers (Platt), and how good they are."""

from __future__ import annotations

import numpy as np

_STEPS = 50


def calibrate(
    logits: np.ndarray, right: np.ndarray, weight: np.ndarray | None = None
) -> tuple[tuple[float, float], dict[str, float]]:
    """The (a, b) for which sigmoid(a + b * logit) has the least cross-entropy, by Newton's method.

    Args:
        logits: of pairs that the model was not fitted on.
        right: whether each is meant.
        weight: of each; None: 1.

    Returns:
        (a, b), and `log_loss` and `average_precision`.
    """
    weight = np.ones(len(logits)) if weight is None else weight / weight.mean()
    truth = right.astype(float)
    x = np.stack([np.ones(len(logits)), logits], axis=1)
    values = np.array([0.0, 1.0])
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(x @ values, -30, 30)))
        slope = x.T @ (weight * (probability - truth)) + 1e-3 * (values - (0.0, 1.0))
        curve = (x * (weight * probability * (1 - probability))[:, None]).T @ x + 1e-3 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        values = values - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    probability = np.clip(1 / (1 + np.exp(-(x @ values))), 1e-7, 1 - 1e-7)
    loss = -np.average(np.where(truth > 0, np.log(probability), np.log(1 - probability)), weights=weight)
    order = np.argsort(-logits, kind="stable")
    hits = truth[order] > 0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    average = float(precision[hits].mean()) if hits.any() else 0.0
    measures = {"log_loss": round(float(loss), 4), "average_precision": round(average, 4)}
    return (round(float(values[0]), 4), round(float(values[1]), 4)), measures
