"""A logistic regression over what is known of a relation, by Newton's method; measured on folds by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.evaluation.calibration import calibration, expected_error
from relforge.evaluation.precision_recall import average_precision, compute_curve
from relforge.stages.ground.model import hash_image
from relforge.stages.select.features import FEATURES
from relforge.stages.select.quality import QualityModel, Regression

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
        features: N x F, see `stages.select.features.describe_rows`.
        predicate: N numbers into `predicates`.
        predicates: their names.
        image: N image ids.
        right: N.
        positives: how many would be right at best: all that is true of the images, proposed or not.
        tables: tables beside `scores` that the run has, see `stages.select.features.COLUMNS`.
    """

    features: np.ndarray
    predicate: np.ndarray
    predicates: list[str]
    image: np.ndarray
    right: np.ndarray
    positives: int
    tables: frozenset[str] = frozenset()

    def name_predicates(self, rows: np.ndarray) -> pa.Array:
        """Predicates of some rows, as texts."""
        return pa.array(self.predicates, pa.string()).take(pa.array(self.predicate[rows]))


def fit_quality(examples: Examples) -> tuple[QualityModel, dict[str, Any]]:
    """Fit on all examples, and on all folds of their images but one; thresholds and measures are of images
    that were left out.

    Returns:
        the model, and measures on held-out images: `relations`, `right` (share), `log_loss`,
        `average_precision`, `expected_calibration_error`, `score_average_precision` of the raw score, and
        `f1` at the best `threshold`.

    Raises:
        ValueError: all examples are right, or all are wrong, or they are of too few images.
    """
    right = examples.right
    if not right.any() or right.all():
        kind = "right" if right.any() else "wrong"
        raise ValueError(f"all {len(right):,} relations are {kind}, so there is nothing to tell apart")
    names = np.unique(examples.image)
    hashes = {str(one): hash_image(str(one)) for one in names.tolist()}
    fold = np.array([hashes[str(one)] % FOLDS for one in examples.image.tolist()])
    held_out, folds = np.zeros(len(right), np.float32), []
    for number in range(FOLDS):
        rows = fold != number
        if not right[rows].any() or right[rows].all():
            raise ValueError(f"relations of {len(names):,} images are too few to hold some of them out")
        folds.append(_solve(examples, rows))
        held_out[~rows] = folds[-1].score(examples.features[~rows], examples.name_predicates(~rows))
    threshold, f1 = _best_threshold(held_out, right, examples.positives)
    model = QualityModel(
        whole=_solve(examples, np.ones(len(right), bool)),
        folds=folds,
        seen=frozenset(hashes.values()),
        thresholds=_thresholds(held_out, right),
        threshold=threshold,
        tables=examples.tables,
    )
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
        "threshold": threshold,
        "f1": round(f1, 4),
    }
    return model, measures


def _best_threshold(score: np.ndarray, right: np.ndarray, positives: int) -> tuple[float, float]:
    """(threshold, F1) where F1 is largest.

    The threshold is half of that F1, as it is of probabilities (Lipton, Elkan, Naryanaswamy, 2014): where the
    curve itself has its highest point is chance to a large part.
    """
    order = np.argsort(-score, kind="stable")
    f1 = compute_curve(right[order], score[order], positives).best()[1]
    return round(f1 / 2, 4), f1


def _solve(examples: Examples, rows: np.ndarray) -> Regression:
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
    return Regression(
        mean=np.round(mean, 6),
        deviation=np.round(deviation, 6),
        weights=weights[: width - 1],
        bias=float(weights[width - 1]),
        predicates={name: value for name, value in offsets.items() if value},
    )


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
