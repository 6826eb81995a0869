"""The fit of quality: what it recovers, what it holds out, and what it cannot learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from relforge.stages.ground.model import hash_image
from relforge.stages.select.features import FEATURES
from relforge.trainer.quality.fit import Examples, fit_quality


def examples(rows: int = 4000, images: int = 300) -> Examples:
    """Right by support and predicate, by score not at all."""
    random = np.random.default_rng(0)
    features = np.zeros((rows, len(FEATURES)))
    for name in ("score", "support"):
        features[:, FEATURES.index(name)] = random.normal(size=rows)
    predicate = random.integers(0, 3, rows)
    logit = 2 * features[:, FEATURES.index("support")] + np.array([-1.0, 0.0, 1.0])[predicate]
    right = random.random(rows) < 1 / (1 + np.exp(-logit))
    return Examples(
        features=features,
        predicate=predicate,
        predicates=["on", "in", "near"],
        image=random.integers(0, images, rows).astype(str).astype(object),
        right=right,
        positives=int(right.sum()),
    )


def test_the_fit_recovers_what_decides() -> None:
    model, measures = fit_quality(examples())

    slope = model.whole.weights / model.whole.deviation
    assert slope[FEATURES.index("support")] == pytest.approx(2, abs=0.2)
    assert slope[FEATURES.index("score")] == pytest.approx(0, abs=0.1)
    assert model.whole.predicates["near"] - model.whole.predicates["on"] == pytest.approx(2, abs=0.3)
    assert measures["average_precision"] > measures["score_average_precision"] + 0.2
    assert measures["expected_calibration_error"] < 0.03


def test_thresholds_reach_their_precision_on_other_examples() -> None:
    given = examples(rows=20_000)
    half = np.arange(20_000) < 10_000
    model, _ = fit_quality(_take(given, half))
    other = _take(given, ~half)

    score = model.whole.score(other.features, other.name_predicates(np.ones(len(other.right), bool)))
    kept = score >= model.threshold_of(0.9)
    assert other.right[kept].mean() == pytest.approx(0.9, abs=0.02)


def test_the_best_threshold_is_as_good_as_any_other_on_other_examples() -> None:
    given = examples(rows=20_000)
    half = np.arange(20_000) < 10_000
    # given twice as many true relations as were proposed: what is never proposed lowers the threshold
    part = replace(_take(given, half), positives=2 * int(given.right[half].sum()))
    model, measures = fit_quality(part)
    other = _take(given, ~half)
    score = model.whole.score(other.features, other.name_predicates(np.ones(len(other.right), bool)))

    def f1(threshold: float) -> float:
        kept = score >= threshold
        return 2 * other.right[kept].sum() / (kept.sum() + 2 * other.right.sum())

    best = max(f1(one) for one in np.linspace(0.01, 0.99, 99))
    assert f1(model.threshold) == pytest.approx(best, abs=0.005)
    assert measures["f1"] == pytest.approx(best, abs=0.02)
    assert f1(model.threshold) > f1(0.5) + 0.005


def test_no_fold_has_seen_its_images() -> None:
    # given a word of its own for each image: a regression knows the words of the images it was fitted on
    given = examples(rows=600, images=60)
    names, word = np.unique(given.image.astype(str), return_inverse=True)
    model, _ = fit_quality(replace(given, predicate=word, predicates=list(names), right=word % 2 == 0))

    assert set(model.whole.predicates) == set(names)
    for number, fold in enumerate(model.folds):
        assert set(fold.predicates) == {name for name in names if hash_image(name) % 5 != number}
    assert model.seen == {hash_image(name) for name in names}


def test_held_out_images_are_not_learnt_by_heart() -> None:
    # given a word of its own for each image, which tells everything of that image and nothing of others
    given = examples(rows=600, images=60)
    _, word = np.unique(given.image.astype(str), return_inverse=True)
    right = word % 2 == 0
    names = [str(number) for number in range(60)]

    _, measures = fit_quality(replace(given, predicate=word, predicates=names, right=right))

    assert measures["average_precision"] < 0.7


@pytest.mark.parametrize("right", [True, False])
def test_one_kind_alone_is_refused(right: bool) -> None:
    given = examples(rows=50)
    with pytest.raises(ValueError, match="nothing to tell apart"):
        fit_quality(replace(given, right=np.full(50, right)))


def test_one_image_is_too_few() -> None:
    with pytest.raises(ValueError, match="too few to hold"):
        fit_quality(examples(rows=50, images=1))


def _take(given: Examples, rows: np.ndarray) -> Examples:
    own = {name: getattr(given, name)[rows] for name in ("features", "predicate", "image", "right")}
    return replace(given, **own)
