"""Data loading: the batch of the published operations is ours; batches by aspect ratio are mostly pixels."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    found = importlib.import_module("training_loading")
    monkeypatch.setattr(found, "SHORT_SIDES", (40, 56))
    return found


def test_both_make_the_same_batch(loading: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, shape in enumerate(((60, 80), (90, 60), (64, 64))):
        pixels = rng.integers(0, 256, (*shape, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.jpg", quality=95)
    rows = loading.compare_loading(sorted(tmp_path.glob("*.jpg")), 3, 1)
    assert [row["case"] for row in rows] == ["8-bit batch", "the same, normalised on the CPU"]
    for row in rows:
        assert row["values differ by"] < 1e-5
        assert row["ratio"] == pytest.approx(row["theirs"] / row["ours"])


def test_batches_by_aspect_ratio_are_mostly_pixels(loading: ModuleType) -> None:
    rng = np.random.default_rng(0)
    shapes = np.array([(640, 480), (480, 640), (640, 427), (500, 375)])[rng.integers(0, 4, 1000)]
    (row,) = loading.useful_pixels(shapes, 8)
    assert row["ours"] > 0.9
    assert row["theirs"] < 0.8
