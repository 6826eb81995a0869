"""The learnt quality of a scored relation: the probability that it is right, from all that is known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.columns import encode_in_order

SUPPORT = "support_image"
FEATURES = (
    *("score", "score_share", "score_rank", "alternatives", "support", "prior", "no_prior"),
    *("subject_score", "object_score", "image_support", "no_image_support"),
)
_NEAR_ONE = 1e-4
_VERSION = 1


def describe_rows(rows: pa.Table) -> np.ndarray:
    """Features of scored relations; a claim's rows have to be there together.

    Scores and probabilities come as logits; shares and ranks are within the claim of the image; a value that
    a row does not have is 0, and where that tells something a feature says so.

    Args:
        rows: of `scores`, with `support_image` where the run has the image's own support.

    Returns:
        float64, N x len(FEATURES).
    """
    count = rows.num_rows
    score = _values(rows, "score", 0.5)
    claim = _number(encode_in_order(rows["image_id"]), rows["claim_id"].to_numpy().astype(np.int64))
    total = np.bincount(claim, score, minlength=1)[claim]
    order = np.lexsort((-score, claim))
    starts = np.flatnonzero(np.diff(claim[order], prepend=-1))
    rank = np.empty(count)
    rank[order] = np.arange(count) - np.repeat(starts, np.diff([*starts, count]))
    columns = {
        "score": _logit(score),
        "score_share": score / np.maximum(total, _NEAR_ONE),
        "score_rank": np.log1p(rank),
        "alternatives": np.log(np.maximum(rows["alternatives"].to_numpy(), 1)),
        "support": np.log1p(rows["support"].to_numpy()),
        "prior": _logit(_values(rows, "prior", 0.5)),
        "no_prior": _missing(rows, "prior"),
        "subject_score": _logit(_values(rows, "subject_score", 0.5)),
        "object_score": _logit(_values(rows, "object_score", 0.5)),
        "image_support": _logit(_values(rows, SUPPORT, 0.5)),
        "no_image_support": _missing(rows, SUPPORT),
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)


@dataclass(frozen=True)
class QualityModel:
    """A logistic regression.

    Args:
        mean, deviation: of the features it was fitted on, F each.
        weights: F.
        bias: of all relations.
        predicates: predicate -> what is added to the bias.
        thresholds: precision -> the least probability that reaches it on held-out images.
        image_support: whether it was fitted on the image's own support.
    """

    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray
    bias: float
    predicates: Mapping[str, float]
    thresholds: Mapping[float, float]
    image_support: bool

    def score(self, features: np.ndarray, predicates: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """Probability of every row, float32."""
        values = pc.unique(predicates)
        known = np.array([self.predicates.get(name, 0.0) for name in values.to_pylist()], float)
        offset = known[pc.index_in(predicates, values).to_numpy()]
        logit = self.bias + offset
        for place, column in enumerate(((features - self.mean) / self.deviation).T):
            logit = logit + column * self.weights[place]  # a matrix product would depend on the other rows
        return np.asarray(1 / (1 + np.exp(-logit)), np.float32)

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


def save_quality(path: Path, model: QualityModel, card: Mapping[str, Any]) -> None:
    """Write one JSON file; the same model gives the same bytes."""
    content = {
        "version": _VERSION,
        "features": {
            name: {"mean": float(mean), "deviation": float(deviation), "weight": float(weight)}
            for name, mean, deviation, weight in zip(
                FEATURES, model.mean, model.deviation, model.weights, strict=True
            )
        },
        "bias": model.bias,
        "predicates": dict(sorted(model.predicates.items())),
        "thresholds": {f"{share:.2f}": value for share, value in sorted(model.thresholds.items())},
        "image_support": model.image_support,
        "card": dict(card),
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_quality(path: Path) -> QualityModel:
    """Read a file of `save_quality`.

    Raises:
        ValueError: it is not there, damaged, or of other features.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["version"] != _VERSION or tuple(stored["features"]) != FEATURES:
            raise ValueError("of other features than this version computes; fit it again")
        mean, deviation, weights = (
            np.array([one[key] for one in stored["features"].values()], float)
            for key in ("mean", "deviation", "weight")
        )
        return QualityModel(
            mean=mean,
            deviation=deviation,
            weights=weights,
            bias=float(stored["bias"]),
            predicates={str(name): float(value) for name, value in stored["predicates"].items()},
            thresholds={float(share): float(value) for share, value in stored["thresholds"].items()},
            image_support=bool(stored["image_support"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"select.weights: {path} cannot be read ({error}); give a file written by `relforge quality fit`"
        ) from error


def _values(rows: pa.Table, name: str, default: float) -> np.ndarray:
    if name not in rows.column_names:
        return np.full(rows.num_rows, default)
    values: np.ndarray = pc.fill_null(rows[name], default).to_numpy().astype(np.float64)
    return np.where(np.isnan(values), default, values)


def _missing(rows: pa.Table, name: str) -> np.ndarray:
    if name not in rows.column_names:
        return np.ones(rows.num_rows)
    missing: np.ndarray = rows[name].is_null().to_numpy().astype(np.float64)
    return missing


def _logit(probability: np.ndarray) -> np.ndarray:
    near = np.clip(probability, _NEAR_ONE, 1 - _NEAR_ONE)
    logit: np.ndarray = np.log(near / (1 - near))
    return logit


def _number(image: np.ndarray, claim: np.ndarray) -> np.ndarray:
    """A number from 0 for each claim of each image."""
    span = int(claim.max(initial=0)) + 1
    numbers: np.ndarray = np.unique(image * span + claim, return_inverse=True)[1]
    return numbers
