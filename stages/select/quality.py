"""The learnt quality of a scored relation: the probability that it is right, from all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.columns import encode
from relforge.stages.ground.model import hash_image


@dataclass(frozen=True)
class Regression:
    """A logistic regression.

    Args:
        mean, deviation: of the features it was fitted on, F each.
        weights: F.
        bias: of all relations.
        predicates: predicate -> what is added to the bias.
    """

    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray
    bias: float
    predicates: Mapping[str, float]

    def score(self, features: np.ndarray, predicates: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """Probability of every row, float32; no row depends on the others.

        Args:
            features: N x F, see `features.describe_rows`.
            predicates: N texts.
        """
        values = pc.unique(predicates)
        known = np.array([self.predicates.get(name, 0.0) for name in values.to_pylist()], float)
        logit = self.bias + known[pc.index_in(predicates, values).to_numpy()]
        for place, column in enumerate(((features - self.mean) / self.deviation).T):
            logit = logit + column * self.weights[place]  # a matrix product would depend on the other rows
        return np.asarray(1 / (1 + np.exp(-logit)), np.float32)


@dataclass(frozen=True)
class QualityModel:
    """What `relforge quality fit` found.

    Args:
        whole: fitted on all images.
        folds: fold n was fitted on all images but those whose `hash_image` leaves n.
        seen: `hash_image` of the images that they were fitted on.
        thresholds: precision -> the least probability that reaches it on held-out images.
        threshold: the probability whose F1 is best there.
        tables: tables beside `scores` that it was fitted with, see `features.COLUMNS`.
    """

    whole: Regression
    folds: Sequence[Regression]
    seen: frozenset[int]
    thresholds: Mapping[float, float]
    threshold: float
    tables: frozenset[str]

    def score(self, features: np.ndarray, rows: pa.Table) -> np.ndarray:
        """Probability of every row, float32; those of an image that it was fitted on by the fold that did not
        see it.

        Args:
            features: N x F, see `features.describe_rows`.
            rows: N, with `image_id` and `predicate`.
        """
        images = pc.unique(rows["image_id"])
        hashes = [hash_image(name) for name in images.to_pylist()]
        fold_of = np.array([one % len(self.folds) if one in self.seen else -1 for one in hashes] or [-1])
        fold = fold_of[encode(rows["image_id"], images)]
        score = self.whole.score(features, rows["predicate"])
        for number in np.unique(fold[fold >= 0]).tolist():
            own = fold == number
            predicates = rows["predicate"].filter(pa.array(own))
            score[own] = self.folds[number].score(features[own], predicates)
        return score

    def threshold_of(self, precision: float) -> float:
        """The probability from which on relations reach a precision.

        Raises:
            ValueError: held-out relations never did.
        """
        reached = [share for share in self.thresholds if share >= precision - 1e-9]
        if not reached:
            most = max(self.thresholds, default=0.0)
            raise ValueError(
                f"select.precision: {precision:g} was not reached on held-out images; {most:.2f} is the most"
            )
        return self.thresholds[min(reached)]
