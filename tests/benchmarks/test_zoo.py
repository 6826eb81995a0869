"""The comparison of the zoo's families: all are in it, at one size, and its table says what was measured."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from relforge.models.blueprint import Blueprint
from relforge.models.zoo import MODELS, family
from relforge.trainer.tokenizer import train_tokenizer

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
OTHERS = {"rtagger", "defr", "speaq", "detr", "deformable_detr"}
"""Models that search for no human-object pairs in this comparison."""


@pytest.fixture
def zoo(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("zoo")


def test_every_family_that_finds_pairs_is_compared(zoo: ModuleType) -> None:
    assert set(zoo.ENTRIES) == set(MODELS) - OTHERS
    assert {kind for kind, entry in zoo.ENTRIES.items() if entry.texts} == {
        kind for kind in zoo.ENTRIES if family(kind).labels == "open"
    }


def test_no_model_has_a_fifth_more_parameters_than_another(zoo: ModuleType) -> None:
    models = zoo.zoo_models
    names = [f"class {i}" for i in range(29)], [f"verb {i}" for i in range(24)]
    tokenizer = train_tokenizer([*names[0], *names[1]], 1000)
    counts = {}
    for kind, entry in zoo.ENTRIES.items():
        text = {**models.TEXT, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        sizes = family(kind).sizes(**entry.sizes, pairs=models.PAIRS)
        blueprint = Blueprint(kind, sizes, models.BACKBONE, text if entry.texts else None, *names)
        with torch.device("meta"):
            model = blueprint.build(tokenizer if entry.texts else None)
        counts[kind] = sum(parameter.numel() for parameter in model.parameters())
    assert max(counts.values()) <= zoo.MARGIN * min(counts.values()), counts


def result(kind: str, seed: int, value: float, prior: float, parameters: int = 1000) -> dict[str, Any]:
    measures = {"mean_average_precision": value, "mean_average_precision_prior": prior}
    measures |= {"mean_average_precision_seen": value, "mean_average_precision_unseen": 0.0}
    rest = {"parameters": parameters, "step_seconds": 0.1, "image_seconds": 0.01, "memory": 50.0}
    return {"kind": kind, "learns": "gold", "seed": seed, **measures, **rest}


def test_the_table_has_means_ranges_and_whether_they_are_apart(zoo: ModuleType) -> None:
    rows = zoo.table(
        [result("qpic", 0, 0.03, 0.01), result("qpic", 1, 0.05, 0.02), result("cdn", 0, 0.02, 0.03)]
    )
    assert [row["family"] for row in rows] == ["qpic", "cdn"]
    assert rows[0]["mAP"] == (pytest.approx(0.04), 0.03, 0.05)
    assert rows[0]["ratio"] == pytest.approx(0.04 / 0.015)
    assert [row["apart"] for row in rows] == [True, False]


def test_models_of_different_size_are_refused(zoo: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"parameters differ by more than 1\.2 times: 1000 to 1300"):
        zoo.table([result("qpic", 0, 0.1, 0.1), result("cdn", 0, 0.1, 0.1, 1300)])
