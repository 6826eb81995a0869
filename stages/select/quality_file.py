"""Files of the learnt quality: JSON that says what weighs how much."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from relforge.stages.select.features import FEATURES
from relforge.stages.select.quality import QualityModel, Regression

_VERSION = 2


def save_quality(path: Path, model: QualityModel, card: Mapping[str, Any]) -> None:
    """Write one JSON file; the same model gives the same bytes."""
    content = {
        "version": _VERSION,
        "card": dict(card),
        "threshold": model.threshold,
        "thresholds": {f"{share:.2f}": value for share, value in sorted(model.thresholds.items())},
        "tables": sorted(model.tables),
        "whole": _write(model.whole),
        "folds": [_write(one) for one in model.folds],
        "seen": base64.b64encode(np.array(sorted(model.seen), "<i8").tobytes()).decode(),
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_quality(path: Path) -> QualityModel:
    """Read a file of `save_quality`.

    Raises:
        ValueError: it is not there, damaged, or of other features.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["version"] != _VERSION or tuple(stored["whole"]["features"]) != FEATURES:
            raise ValueError("of other features than this version computes; fit it again")
        model = QualityModel(
            whole=_read(stored["whole"]),
            folds=[_read(one) for one in stored["folds"]],
            seen=frozenset(np.frombuffer(base64.b64decode(stored["seen"]), "<i8").tolist()),
            thresholds={float(share): float(value) for share, value in stored["thresholds"].items()},
            threshold=float(stored["threshold"]),
            tables=frozenset(map(str, stored["tables"])),
        )
        if model.seen and not model.folds:
            raise ValueError("it has no folds")
        return model
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"select.weights: {path} cannot be read ({error}); give a file written by `relforge quality fit`"
        ) from error


def _write(one: Regression) -> dict[str, Any]:
    columns = zip(FEATURES, one.mean, one.deviation, one.weights, strict=True)
    return {
        "bias": one.bias,
        "features": {
            name: {"mean": float(mean), "deviation": float(deviation), "weight": float(weight)}
            for name, mean, deviation, weight in columns
        },
        "predicates": dict(sorted(one.predicates.items())),
    }


def _read(stored: Mapping[str, Any]) -> Regression:
    features = [stored["features"][name] for name in FEATURES]
    mean, deviation, weights = (
        np.array([one[key] for one in features], float) for key in ("mean", "deviation", "weight")
    )
    predicates = {str(name): float(value) for name, value in stored["predicates"].items()}
    return Regression(mean, deviation, weights, float(stored["bias"]), predicates)
