"""The comparison of the zoo's families: all are in it, at one size, and its table says what was measured."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import load_model, load_tokenizer
from relforge.models.zoo import MODELS, family

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
    shipped = load_model(models.SHIPPED).blueprint
    tokenizer = load_tokenizer(models.SHIPPED, shipped)
    verbs = [f"verb {i}" for i in range(24)]
    counts = {}
    for kind, entry in zoo.ENTRIES.items():
        sizes = family(kind).sizes(**entry.sizes, pairs=models.PAIRS)
        backbone = models.backbone_of(entry.detector, shipped)
        text = shipped.text_encoder if entry.texts else None
        blueprint = Blueprint(kind, sizes, backbone, text, shipped.classes, verbs)
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
