"""A logistic regression over what is known of a relation, by Newton's method; measured on folds by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relforge.evaluation.calibration import calibration, expected_error
from relforge.evaluation.precision_recall import average_precision, compute_curve
from relforge.stages.ground.model import hash_image
from relforge.stages.select.quality import FEATURES, QualityModel

FOLDS = 5
_STEPS = 50
_FEATURE_PENALTY, _PREDICATE_PENALTY = 1.0, 4.0
"""Of squared weights; a predicate that is rarely seen stays close to the others."""
_LEAST = 10
"""Right relations that a threshold has to keep: fewer say nothing of its precision."""
_TARGETS = [round(0.01 * number, 2) for number in range(1, 100)]


@dataclass(frozen=True)
class Examples:
    """Relations that somebody judged.

    Args:
        features: N x F, see `quality.describe_rows`.
        predicate: N numbers into `predicates`.
        predicates: their names.
        image: N image ids.
        right: N.
        image_support: whether the run has the image's own support.
    """

    features: np.ndarray
    predicate: np.ndarray
    predicates: list[str]
    image: np.ndarray
    right: np.ndarray
    image_support: bool


def fit_quality(examples: Examples) -> tuple[QualityModel, dict[str, Any]]:
    """Fit on all examples; thresholds and measures come from images that were left out.

    Returns:
        the model, and measures on held-out images: `relations`, `right` (share), `log_loss`,
        `average_precision`, `expected_calibration_error`, and `score_average_precision` of the raw score.

    Raises:
        ValueError: all examples are right, or all are wrong, or they are of too few images.
    """
    right = examples.right
    if not right.any() or right.all():
        kind = "right" if right.any() else "wrong"
        raise ValueError(f"all {len(right):,} relations are {kind}, so there is nothing to tell apart")
    names = np.unique(examples.image)
    of_image = dict(zip(names.tolist(), [hash_image(str(one)) % FOLDS for one in names], strict=True))
    fold = np.array([of_image[one] for one in examples.image.tolist()])
    held_out = np.zeros(len(right), np.float32)
    for number in range(FOLDS):
        rows = fold != number
        if not right[rows].any() or right[rows].all():
            raise ValueError(f"relations of {len(names):,} images are too few to hold some of them out")
        model = _solve(examples, rows, {})
        held_out[~rows] = _score(model, examples, ~rows)
    model = _solve(examples, np.ones(len(right), bool), _thresholds(held_out, right))
    order = np.argsort(-held_out, kind="stable")
    raw = examples.features[:, FEATURES.index("score")]
    by_score = np.argsort(-raw, kind="stable")
    clipped = np.clip(held_out.astype(np.float64), 1e-7, 1 - 1e-7)
    positives = int(right.sum())
    measures = {
        "relations": len(right),
        "images": len(names),
        "right": round(float(right.mean()), 4),
        "log_loss": round(float(-np.where(right, np.log(clipped), np.log(1 - clipped)).mean()), 4),
        "average_precision": round(average_precision(right[order], held_out[order], positives), 4),
        "score_average_precision": round(average_precision(right[by_score], raw[by_score], positives), 4),
        "expected_calibration_error": round(expected_error(calibration(held_out, right)), 4),
    }
    return model, measures


def _solve(examples: Examples, rows: np.ndarray, thresholds: Mapping[float, float]) -> QualityModel:
    """The regression of some rows."""
    given, truth = examples.features[rows], examples.right[rows].astype(float)
    predicate, count = examples.predicate[rows], len(examples.predicates)
    mean, deviation = given.mean(0), given.std(0)
    deviation[deviation < 1e-9] = 1.0
    x = np.concatenate([(given - mean) / deviation, np.ones((len(given), 1))], axis=1)
    width = x.shape[1]
    penalty = np.concatenate([np.full(width, _FEATURE_PENALTY), np.full(count, _PREDICATE_PENALTY)])
    penalty[width - 1] = 1e-6  # the bias is free
    values = np.zeros(width + count)
    for _ in range(_STEPS):
        logit = x @ values[:width] + values[width:][predicate]
        probability = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        error, weight = probability - truth, probability * (1 - probability)
        slope = np.concatenate([x.T @ error, np.bincount(predicate, error, count)]) + penalty * values
        # the block of the predicates is diagonal, so they are solved for first
        corner = np.bincount(predicate, weight, count) + penalty[width:]
        mixed = np.stack([np.bincount(predicate, weight * column, count) for column in x.T])
        top = (x.T * weight) @ x + np.diag(penalty[:width])
        reduced = top - (mixed / corner) @ mixed.T
        step = np.linalg.solve(reduced, slope[:width] - mixed @ (slope[width:] / corner))
        step = np.concatenate([step, (slope[width:] - mixed.T @ step) / corner])
        values = values - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    weights = np.round(values, 6)
    offsets = dict(zip(examples.predicates, weights[width:].tolist(), strict=True))
    return QualityModel(
        mean=np.round(mean, 6),
        deviation=np.round(deviation, 6),
        weights=weights[: width - 1],
        bias=float(weights[width - 1]),
        predicates={name: value for name, value in offsets.items() if value},
        thresholds=thresholds,
        image_support=examples.image_support,
    )


def _score(model: QualityModel, examples: Examples, rows: np.ndarray) -> np.ndarray:
    offset = np.array([model.predicates.get(name, 0.0) for name in examples.predicates])
    normal = (examples.features[rows] - model.mean) / model.deviation
    logit = normal @ model.weights + model.bias + offset[examples.predicate[rows]]
    score: np.ndarray = (1 / (1 + np.exp(-logit))).astype(np.float32)
    return score


def _thresholds(score: np.ndarray, right: np.ndarray) -> dict[float, float]:
    """Precision -> the least score from which on it is reached; of those that are reached at all."""
    order = np.argsort(-score, kind="stable")
    curve = compute_curve(right[order], score[order], int(right.sum()))
    least = _LEAST / max(right.sum(), 1)
    found = {}
    for target in _TARGETS:
        reached = np.flatnonzero((curve.precision >= target) & (curve.recall >= least))
        if len(reached):
            found[target] = float(curve.threshold[reached[-1]])
    return found
