"""The file of proposals: a perceptron of boxes and classes with an output a predicate, and its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relforge.stages.ground.features import NAMES, describe
from relforge.stages.ground.model import folds_of, mean_outputs, perceptron_arrays, read_perceptrons
from relforge.stages.ground.pairs import Alternatives
from relforge.stages.ground.perceptron import Perceptron
from relforge.stages.ground.words import WordVectors

_HEADER = "relforge"
"""The one entry of the file's metadata: several have no fixed order, and a model has the same bytes."""


@dataclass(frozen=True)
class ProposalModel:
    """What a file holds.

    Args:
        predicates: one for each output.
        words: vectors of the classes; a class that was not among the gold's has zeros, so the geometry alone
            speaks.
        perceptrons: (fold of the images that it did not see, perceptron).
        calibration: (a, b) of sigmoid(a + b * logit).
        seen: `hash_image` of the images it was fitted on.
    """

    predicates: Sequence[str]
    words: WordVectors
    perceptrons: Sequence[tuple[int, Perceptron]]
    calibration: tuple[float, float]
    seen: frozenset[int]

    def logits(self, pairs: Alternatives) -> np.ndarray:
        """float64, pairs x predicates; of an image that it was fitted on, by the perceptrons that did not see
        it alone."""
        fold = folds_of(pairs.images, self.perceptrons, self.seen)[pairs.image]
        return mean_outputs(self.perceptrons, join_pair(pairs, self.words), fold)

    def probabilities(self, pairs: Alternatives) -> np.ndarray:
        """Calibrated, float64, pairs x predicates."""
        offset, slope = self.calibration
        found: np.ndarray = 1 / (1 + np.exp(-(offset + slope * self.logits(pairs))))
        return found


def join_pair(pairs: Alternatives, words: WordVectors) -> np.ndarray:
    """Geometry and ranks of `describe`, and the vectors of both classes.

    Returns:
        float64, N x (len(NAMES) + class_width(words)).
    """
    return np.concatenate(
        [describe(pairs), words.look_up_classes(pairs.subject_class, pairs.object_class)], axis=1
    )


def class_width(words: WordVectors) -> int:
    """Columns of a pair that come from its classes."""
    return 2 * int(words.class_rows.shape[1]) + 2


def save_proposals(file: Path, model: ProposalModel, card: Mapping[str, Any]) -> None:
    """Write a file; the same model and card give the same bytes."""
    from safetensors.numpy import save_file

    arrays = {"classes": model.words.class_rows, **perceptron_arrays(model.perceptrons)}
    stored = {name: np.ascontiguousarray(one, np.float32) for name, one in arrays.items()}
    header = {
        "features": list(NAMES),
        "predicates": list(model.predicates),
        "classes": list(model.words.classes),
        "calibration": list(model.calibration),
        "card": dict(card),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    stored["seen"] = np.array(sorted(model.seen), np.int64)
    save_file(stored, file, {_HEADER: json.dumps(header)})


def read_header(file: Path) -> dict[str, Any]:
    """`features`, `predicates`, `classes`, `calibration` and `card` of a file.

    Raises:
        ValueError: it is missing, or not such a file.
    """
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise ValueError(f"propose model: {file} not found; write it by `relforge ground fit --proposals`")
    try:
        with safe_open(str(file), "numpy") as opened:
            header: dict[str, Any] = json.loads((opened.metadata() or {})[_HEADER])
        if header["features"] != list(NAMES):
            raise ValueError("of other features than this version computes; fit it again")
        return header
    except (ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
        raise ValueError(
            f"propose model: {file} is not a file of `relforge ground fit --proposals`: {error}"
        ) from error


def load_proposals(file: Path) -> ProposalModel:
    """Read a file.

    Raises:
        ValueError: it is missing, damaged, or of other features.
    """
    from safetensors.numpy import load_file

    header = read_header(file)
    try:
        stored = load_file(str(file))
        seen = frozenset(stored.pop("seen").tolist())
        arrays = {name: one.astype(np.float64) for name, one in stored.items()}
        words = WordVectors([], header["classes"], np.zeros((0, 0)), arrays["classes"])
        perceptrons = read_perceptrons(arrays)
        shape = len(header["predicates"]), len(NAMES) + class_width(words)
        ends = [(one.layers[-1][0].shape[0], one.layers[0][0].shape[1]) for _, one in perceptrons]
        if not ends or set(ends) != {shape}:
            raise ValueError("its layers do not fit its predicates and features")
        offset, slope = map(float, header["calibration"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"propose model: {file} cannot be read: {error}") from error
    return ProposalModel(header["predicates"], words, perceptrons, (offset, slope), seen)
