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
        perceptrons: one for each fold of the images, fitted on the others.
        calibration: (a, b) of sigmoid(a + b * logit).
        floor: pairs below it are dropped by default.
        seen: keys of the images it was fitted on.
    """

    words: WordVectors
    perceptrons: Sequence[Perceptron]
    calibration: tuple[float, float]
    floor: float
    seen: frozenset[str]

    def logits(self, pairs: Alternatives) -> np.ndarray:
        """Of every pair, float64: their mean over the perceptrons; of an image that is among those the model
        was fitted on, from the perceptron alone that did not see it."""
        features = join_features(pairs, self.words)
        own = np.stack([one.logits(features) for one in self.perceptrons])
        count = len(self.perceptrons)
        keys = [image_key(name) for name in pairs.images]
        fold = np.array([fold_of(key, count) if key in self.seen else -1 for key in keys] or [-1])
        of_row = fold[pairs.image]
        return np.where(of_row < 0, own.mean(0), own[of_row, np.arange(len(of_row))])

    def score(self, pairs: Alternatives) -> np.ndarray:
        """Calibrated probability of every pair; float64."""
        offset, slope = self.calibration
        score: np.ndarray = 1 / (1 + np.exp(-(offset + slope * self.logits(pairs))))
        return score


def image_key(image_id: str) -> str:
    """What ids and file names of an image have in common: `COCO_val2014_000000000139.jpg` is `139`."""
    stem = image_id.rpartition("/")[2].rpartition(".")[0] or image_id
    digits = _LAST_DIGITS.search(stem)
    return str(int(digits[0])) if digits else stem


def fold_of(key: str, folds: int) -> int:
    """The fold of an image, by its key alone."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % folds


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
    for fold, one in enumerate(model.perceptrons):
        arrays |= {f"{fold}.mean": one.mean, f"{fold}.deviation": one.deviation}
        for number, (weights, bias) in enumerate(one.layers):
            arrays |= {f"{fold}.layer{number}.weights": weights, f"{fold}.layer{number}.bias": bias}
    save_file({name: np.ascontiguousarray(one, np.float32) for name, one in arrays.items()}, folder / WEIGHTS)
    tables = {"features": list(NAMES), "calibration": list(model.calibration), "floor": model.floor}
    tables |= {"predicates": list(words.predicates), "classes": list(words.classes)}
    tables |= {"seen": sorted(model.seen)}
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
        arrays = {name: one.astype(np.float64) for name, one in load_file(str(weights)).items()}
        tables = json.loads(path.read_text(encoding="utf-8"))
        if tables["features"] != list(NAMES):
            raise ValueError("of other features than this version computes; fit it again")
        words = WordVectors(tables["predicates"], tables["classes"], arrays["predicates"], arrays["classes"])
        perceptrons: list[Perceptron] = []
        while f"{len(perceptrons)}.mean" in arrays:
            perceptrons.append(_read_perceptron(arrays, f"{len(perceptrons)}."))
        width = len(NAMES) + 1 + words.width
        if not perceptrons or any(one.layers[0][0].shape[1] != width for one in perceptrons):
            raise ValueError("its layers do not fit its features")
        offset, slope = map(float, tables["calibration"])
        seen = frozenset(map(str, tables["seen"]))
        return PriorModel(words, perceptrons, (offset, slope), float(tables["floor"]), seen)
    except (ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
        raise ValueError(f"ground model: {folder} cannot be read: {error}") from error


def _read_perceptron(arrays: Mapping[str, np.ndarray], prefix: str) -> Perceptron:
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    while f"{prefix}layer{len(layers)}.weights" in arrays:
        name = f"{prefix}layer{len(layers)}"
        layers.append((arrays[f"{name}.weights"], arrays[f"{name}.bias"]))
    return Perceptron(arrays[f"{prefix}mean"], arrays[f"{prefix}deviation"], layers)
