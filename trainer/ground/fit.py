"""Teach a pair prior: from claims alone, from gold, or from both. Held-out folds by image, always."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relforge.stages.ground.model import PriorModel, hash_image, join_features, mean_outputs
from relforge.stages.ground.pairs import Alternatives
from relforge.stages.ground.perceptron import Perceptron
from relforge.stages.ground.words import WordVectors
from relforge.trainer.ground.calibrate import calibrate
from relforge.trainer.ground.marks import mark
from relforge.trainer.ground.perceptron import Settings, fit
from relforge.trainer.ground.vectors import count_vectors

ROUNDS = 2
FOLDS = 2
MEMBERS = 2
"""Perceptrons of each fold, from different seeds: one alone varies by a tenth in average precision."""
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


def teach(
    lessons: Sequence[Lesson], seed: int = 0, settings: Settings | None = None
) -> tuple[PriorModel, dict[str, float]]:
    """Fit perceptrons for each fold of the images, on the images of the other folds.

    A lesson without labels is marked by the nearest boxes first, and then by scores of perceptrons that did
    not see the image. Lessons with labels and those without are fitted apart, and their logits averaged:
    what they know differs, and so does which boxes their images have.

    Returns:
        the model, and measures on held-out images: `pairs`, `claims`, `right` (share of the pairs that count
        as meant), `log_loss`, `average_precision`.

    Raises:
        ValueError: there is no claim with two pairs to choose from, or too few images.
    """
    if not any((lesson.pairs.alternatives > 1).any() for lesson in lessons):
        raise ValueError("no claim has two pairs to choose from, so there is nothing to learn")
    words = count_vectors(claim for lesson in lessons for claim in list_claims(lesson.pairs))
    materials = [_Material(lesson, words) for lesson in lessons]
    perceptrons: list[tuple[int, Perceptron]] = []
    for own in ([one for one in materials if one.marks], [one for one in materials if not one.marks]):
        if own:
            perceptrons += _teach_alike(own, words, seed, settings)
    seen = frozenset(
        hash_image(lesson.pairs.images[at]) for lesson in lessons for at in np.unique(lesson.pairs.image)
    )
    model = PriorModel(words, perceptrons, (0.0, 1.0), FLOOR, seen)
    logits = np.concatenate([model.logits(one.lesson.pairs) for one in materials])
    right = np.concatenate([one.right for one in materials])
    calibration, measures = calibrate(logits, right, np.concatenate([one.weight for one in materials]))
    measures |= {"pairs": len(right), "right": round(float(right.mean()), 4)}
    measures |= {"claims": sum(len(list_claims(lesson.pairs)) for lesson in lessons)}
    return replace(model, calibration=calibration), measures


class _Material:
    """A lesson as it is taught: its features, and what counts as right so far."""

    def __init__(self, lesson: Lesson, words: WordVectors) -> None:
        pairs = lesson.pairs
        self.lesson, self.marks = lesson, lesson.right is None
        self.features = join_features(pairs, words)
        self.weight = 1 / np.sqrt(pairs.alternatives)
        of_image = np.array([hash_image(name) % FOLDS for name in pairs.images], np.int64)
        self.fold = of_image[pairs.image]
        self.right = mark(pairs, -pairs.distance()) if lesson.right is None else lesson.right


def _teach_alike(
    materials: Sequence[_Material], words: WordVectors, seed: int, settings: Settings | None
) -> list[tuple[int, Perceptron]]:
    """(fold that it did not see, perceptron), from lessons that all have labels, or none of them."""
    fitted: list[tuple[int, Perceptron]] = []
    features = np.concatenate([one.features for one in materials])
    weight, fold = (np.concatenate([getattr(one, name) for one in materials]) for name in ("weight", "fold"))
    for turn in range(ROUNDS if materials[0].marks else 1):
        if turn:
            for one in materials:
                score = mean_outputs(fitted, one.features, one.fold)[:, 0]
                one.right = mark(one.lesson.pairs, score)
        right = np.concatenate([one.right for one in materials]).astype(float)
        fitted = []
        for held_out in range(FOLDS):
            rows = fold != held_out
            if not rows.any():
                raise ValueError("too few images: one half of them has no claim")
            for member in range(MEMBERS):
                given = features[rows], right[rows], weight[rows]
                own_seed = seed + MEMBERS * held_out + member
                fitted.append((held_out, fit(*given, words.width, own_seed, settings)))
    return fitted


def list_claims(pairs: Alternatives) -> list[tuple[str, str, str]]:
    """(subject class, predicate, object class) of every claim."""
    _, first = np.unique(pairs.claim, return_index=True)
    return [
        (str(pairs.subject_class[at]), pairs.predicate[at], str(pairs.object_class[at]))
        for at in first.tolist()
    ]
