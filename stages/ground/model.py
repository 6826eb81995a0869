"""Model folders of the learned prior: weights as safetensors, names and card as JSON."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relforge.stages.ground.features import NAMES, describe
from relforge.stages.ground.pairs import Alternatives
from relforge.stages.ground.perceptron import Perceptron
from relforge.stages.ground.words import WordVectors

EMBEDDED = Path(__file__).parent / "weights"
"""The model that comes with relforge."""
_LAST_DIGITS = re.compile(r"[0-9]+$", re.ASCII)
WEIGHTS, TABLES, CARD = "prior.safetensors", "tables.json", "card.json"


@dataclass(frozen=True)
class PriorModel:
    """What a folder holds.

    Args:
        words: vectors of predicates and classes.
        perceptrons: (fold of the images that it did not see, perceptron).
        calibration: (a, b) of sigmoid(a + b * logit).
        floor: pairs below it are dropped by default.
        seen: `hash_image` of the images it was fitted on.
    """

    words: WordVectors
    perceptrons: Sequence[tuple[int, Perceptron]]
    calibration: tuple[float, float]
    floor: float
    seen: frozenset[int]

    def logits(self, pairs: Alternatives) -> np.ndarray:
        """Of every pair, float64: their mean over the perceptrons; of an image that is among those the model
        was fitted on, over those alone that did not see it."""
        fold = folds_of(pairs.images, self.perceptrons, self.seen)[pairs.image]
        logits: np.ndarray = mean_outputs(self.perceptrons, join_features(pairs, self.words), fold)[:, 0]
        return logits

    def score(self, pairs: Alternatives) -> np.ndarray:
        """Calibrated probability of every pair; float64."""
        offset, slope = self.calibration
        score: np.ndarray = 1 / (1 + np.exp(-(offset + slope * self.logits(pairs))))
        return score


def folds_of(
    images: Sequence[str], perceptrons: Sequence[tuple[int, Perceptron]], seen: frozenset[int]
) -> np.ndarray:
    """The fold of each image that the perceptrons were fitted on, or -1."""
    folds = 1 + max(fold for fold, _ in perceptrons)
    hashes = [hash_image(name) for name in images]
    return np.array([one % folds if one in seen else -1 for one in hashes] or [-1])


def mean_outputs(
    perceptrons: Sequence[tuple[int, Perceptron]], features: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """Mean of the perceptrons' outputs, float64, N x outputs; of a row with a fold, of those that did not see
    that fold.

    Args:
        features: N x F.
        fold: of each row, or -1.
    """
    total = np.zeros((len(features), len(perceptrons[0][1].layers[-1][1])))
    count = np.zeros(len(features))
    for unseen, perceptron in perceptrons:
        rows = (fold < 0) | (fold == unseen)
        total[rows] += perceptron.outputs(features[rows])
        count += rows
    return total / np.maximum(count, 1)[:, None]


def image_key(image_id: str) -> str:
    """What ids and file names of an image have in common: `COCO_val2014_000000000139.jpg` is `139`."""
    stem = image_id.rpartition("/")[2].rpartition(".")[0] or image_id
    digits = _LAST_DIGITS.search(stem)
    return str(int(digits[0])) if digits else stem


def hash_image(image_id: str) -> int:
    """63 bits of an image's key; the fold of an image is their rest."""
    return int.from_bytes(hashlib.blake2b(image_key(image_id).encode(), digest_size=8).digest(), "big") >> 1


def join_features(pairs: Alternatives, words: WordVectors) -> np.ndarray:
    """Geometry, ranks and counts of `describe`, support, and word vectors.

    Returns:
        float64, N x (len(NAMES) + 1 + words.width).
    """
    named = words.look_up(pairs.predicate, pairs.subject_class, pairs.object_class)
    return np.concatenate([describe(pairs), np.log1p(pairs.support)[:, None], named], axis=1)


def model_files(folder: Path) -> list[Path]:
    """Files whose content decides the prior.

    Raises:
        ValueError: one is not there.
    """
    paths = [folder / WEIGHTS, folder / TABLES]
    for path in paths:
        if not path.is_file():
            raise ValueError(
                f"ground model: {path} not found; give a folder written by `relforge ground fit`, or leave "
                "`model` out for the embedded one"
            )
    return paths


def save_model(folder: Path, model: PriorModel, card: dict[str, Any]) -> None:
    """Write a folder; the same model gives the same bytes."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    words = model.words
    arrays = {"predicates": words.predicate_rows, "classes": words.class_rows}
    arrays |= perceptron_arrays(model.perceptrons)
    stored = {name: np.ascontiguousarray(one, np.float32) for name, one in arrays.items()}
    save_file(stored | {"seen": np.array(sorted(model.seen), np.int64)}, folder / WEIGHTS)
    tables = {"features": list(NAMES), "calibration": list(model.calibration), "floor": model.floor}
    tables |= {"predicates": list(words.predicates), "classes": list(words.classes)}
    for name, content in ((TABLES, tables), (CARD, card)):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load_model(folder: Path) -> PriorModel:
    """Read a folder.

    Raises:
        ValueError: a file is missing, damaged, or of other features.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    weights, path = model_files(folder)
    try:
        stored = load_file(str(weights))
        seen = frozenset(stored.pop("seen").tolist())
        arrays = {name: one.astype(np.float64) for name, one in stored.items()}
        tables = json.loads(path.read_text(encoding="utf-8"))
        if tables["features"] != list(NAMES):
            raise ValueError("of other features than this version computes; fit it again")
        words = WordVectors(tables["predicates"], tables["classes"], arrays["predicates"], arrays["classes"])
        perceptrons = read_perceptrons(arrays)
        width = len(NAMES) + 1 + words.width
        if not perceptrons or any(one.layers[0][0].shape[1] != width for _, one in perceptrons):
            raise ValueError("its layers do not fit its features")
        offset, slope = map(float, tables["calibration"])
        return PriorModel(words, perceptrons, (offset, slope), float(tables["floor"]), seen)
    except (ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
        raise ValueError(f"ground model: {folder} cannot be read: {error}") from error


def perceptron_arrays(perceptrons: Sequence[tuple[int, Perceptron]]) -> dict[str, np.ndarray]:
    """What a file holds of them, by name."""
    arrays: dict[str, np.ndarray] = {}
    for place, (fold, one) in enumerate(perceptrons):
        arrays |= {f"{place}.fold": np.array([fold]), f"{place}.mean": one.mean}
        arrays[f"{place}.deviation"] = one.deviation
        for number, (weights, bias) in enumerate(one.layers):
            arrays |= {f"{place}.layer{number}.weights": weights, f"{place}.layer{number}.bias": bias}
    return arrays


def read_perceptrons(arrays: Mapping[str, np.ndarray]) -> list[tuple[int, Perceptron]]:
    """The reverse of `perceptron_arrays`; of float64.

    Raises:
        KeyError: an array is missing.
    """
    perceptrons: list[tuple[int, Perceptron]] = []
    while f"{(place := len(perceptrons))}.fold" in arrays:
        one = _read_perceptron(arrays, f"{place}.")
        perceptrons.append((int(arrays[f"{place}.fold"][0]), one))
    return perceptrons


def _read_perceptron(arrays: Mapping[str, np.ndarray], prefix: str) -> Perceptron:
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    while f"{prefix}layer{len(layers)}.weights" in arrays:
        name = f"{prefix}layer{len(layers)}"
        layers.append((arrays[f"{name}.weights"], arrays[f"{name}.bias"]))
    return Perceptron(arrays[f"{prefix}mean"], arrays[f"{prefix}deviation"], layers)
