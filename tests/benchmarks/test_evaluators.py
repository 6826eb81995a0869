"""What `benchmarks/evaluators.py` gives to published code is the data that ours gets."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.data.vcoco import from_official
from relforge.data.vcoco_actions import ROLE_COLUMNS
from relforge.evaluation.vcoco_detections import AGENTS, of_rows
from relforge.evaluation.vcoco_official import VcocoMatches

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def evaluators(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("evaluators")


def test_vcocos_official_files_and_dictionaries_hold_the_drawn_data(evaluators: Any) -> None:
    gold, found = evaluators.draw_vcoco(12, np.random.default_rng(0))
    instances, actions = evaluators.official_files(gold)
    again = from_official(instances, actions, "the drawn files")
    rows: list[tuple[Any, ...]] = []
    for one in evaluators.dictionaries(gold, found):
        place = again.images.index(one["image_id"])
        rows += [(place, one["person_box"], one[c][:4], c, one[c][4]) for c in ROLE_COLUMNS]
        rows += [(place, one["person_box"], [np.nan] * 4, agent, one[agent]) for agent in AGENTS]
    image, person, role, column, score = (list(values) for values in zip(*rows, strict=True))
    detections = of_rows(
        np.array(image),
        np.array(person, np.float32),
        np.array(role, np.float32),
        np.array(column, object),
        np.array(score, np.float32),
    )
    ours, theirs = VcocoMatches(found, gold).quality(), VcocoMatches(detections, again).quality()
    assert theirs.positives == ours.positives
    for key in ("agent", "role_1", "role_2"):
        assert getattr(theirs, key) == pytest.approx(getattr(ours, key), abs=2e-3, nan_ok=True)
