"""Teach a pair prior: from claims alone, from gold, or from both. Held-out folds by image, always."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relforge.stages.ground.features import NAMES
from relforge.stages.ground.model import PriorModel, fold_of, image_key, join_features
from relforge.stages.ground.pairs import Alternatives
from relforge.stages.ground.perceptron import Perceptron
from relforge.stages.ground.words import WordVectors
from relforge.trainer.ground.calibrate import calibrate
from relforge.trainer.ground.marks import mark
from relforge.trainer.ground.perceptron import Settings, fit
from relforge.trainer.ground.vectors import count_vectors

ROUNDS = 2
FOLDS = 2
FLOOR = 0.02
"""Pairs that a new model finds less likely are dropped by default."""


@dataclass(frozen=True)
class Lesson:
    """Pairs to learn from.

    Args:
        pairs: of whole claims.
        right: whether each is meant; None: nobody says, the prior marks them itself.
    """

    pairs: Alternatives
    right: np.ndarray | None = None


@dataclass(frozen=True)
class _Rows:
    features: np.ndarray
    right: np.ndarray
    weight: np.ndarray
    fold: np.ndarray


def teach(
    lessons: Sequence[Lesson], seed: int = 0, settings: Settings | None = None
) -> tuple[PriorModel, dict[str, float]]:
    """Fit one perceptron per fold of the images, each on the images of the other folds.

    A lesson without labels is marked by the nearest boxes first, and then by scores of perceptrons that did
    not see the image.

    Returns:
        the model, and measures on held-out images: `pairs`, `claims`, `right` (share of the pairs that count
        as meant), `log_loss`, `average_precision`.

    Raises:
        ValueError: there is no claim with two pairs to choose from.
    """
    if not any((lesson.pairs.alternatives > 1).any() for lesson in lessons):
        raise ValueError("no claim has two pairs to choose from, so there is nothing to learn")
    words = count_vectors(claim for lesson in lessons for claim in list_claims(lesson.pairs))
    features = [join_features(lesson.pairs, words) for lesson in lessons]
    folds = [_folds(lesson.pairs) for lesson in lessons]
    right = [
        mark(lesson.pairs, -lesson.pairs.distance()) if lesson.right is None else lesson.right
        for lesson in lessons
    ]
    weight = [1 / np.sqrt(lesson.pairs.alternatives) for lesson in lessons]
    rounds = ROUNDS if any(lesson.right is None for lesson in lessons) else 1
    for turn in range(rounds):
        columns = (features, right, weight, folds)
        rows = _Rows(*(np.concatenate(column) for column in columns))
        fitted = [_fit_without(rows, fold, words, seed + fold, settings) for fold in range(FOLDS)]
        logits = np.empty(len(rows.fold))
        for fold, perceptron in enumerate(fitted):
            logits[rows.fold == fold] = perceptron.logits(rows.features[rows.fold == fold])
        if turn + 1 < rounds:
            start = 0
            for place, lesson in enumerate(lessons):
                own = logits[start : start + len(features[place])]
                start += len(own)
                if lesson.right is None:
                    right[place] = mark(lesson.pairs, own)
    calibration, measures = calibrate(logits, rows.right, rows.weight)
    measures |= {"pairs": len(rows.right), "right": round(float(rows.right.mean()), 4)}
    measures |= {"claims": sum(len(np.unique(lesson.pairs.claim)) for lesson in lessons)}
    seen = {image_key(lesson.pairs.images[at]) for lesson in lessons for at in np.unique(lesson.pairs.image)}
    return PriorModel(words, fitted, calibration, FLOOR, frozenset(seen)), measures


def list_claims(pairs: Alternatives) -> list[tuple[str, str, str]]:
    """(subject class, predicate, object class) of every claim."""
    _, first = np.unique(pairs.claim, return_index=True)
    return [
        (str(pairs.subject_class[at]), pairs.predicate[at], str(pairs.object_class[at]))
        for at in first.tolist()
    ]


def _folds(pairs: Alternatives) -> np.ndarray:
    of_image = np.array([fold_of(image_key(name), FOLDS) for name in pairs.images], np.int64)
    return of_image[pairs.image]


def _fit_without(
    rows: _Rows, fold: int, words: WordVectors, seed: int, settings: Settings | None
) -> Perceptron:
    train = rows.fold != fold
    if not train.any():
        raise ValueError("too few images: one fold of them has none")
    assert rows.features.shape[1] == len(NAMES) + 1 + words.width
    own = rows.features[train], rows.right[train].astype(float), rows.weight[train]
    return fit(*own, words.width, seed, settings)
