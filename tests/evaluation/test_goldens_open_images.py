"""Open Images' measures against the evaluator of RLIPv2 (golden g5)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from relforge.evaluation.annotated import Annotated
from relforge.evaluation.open_images import measure_relations
from relforge.evaluation.pair_nms import PairNms
from tests.evaluation.golden_detections import annotated, detected

NAMES = {
    "mAP@{} (RelD)": "mAP_rel@{}",
    "wmAP@{} (RelD)": "wmAP_rel@{}",
    "mean max recall@{} (RelD)": "mean_recall@{}",
    "max recall@{} (RelD)": "recall@{}",
    "mAP@{} (PhrD)": "mAP_phr@{}",
    "wmAP@{} (PhrD)": "wmAP_phr@{}",
    "mean max recall@{} (PhrD)": "phrase mean_recall@{}",
    "max recall@{} (PhrD)": "phrase recall@{}",
}


@pytest.mark.parametrize("nms", [False, True])
def test_every_number_of_the_published_evaluator(shared: Any, nms: bool) -> None:
    stored = json.loads(shared("goldens/g5_oi_sgg_eval.json").read_text())
    images = stored["inputs"]["gts"]
    boxed = np.array([len(one["boxes"]) > 0 for one in images])
    gold = annotated(images, "rels")
    ids = [f"image{number}" for number in range(len(images))]
    split = Annotated(ids, boxed, gold, None, [set() for _ in ids])
    found = detected(stored["inputs"]["preds"])

    quality = measure_relations(found, split, PairNms() if nms else None, published=True)

    expected = dict(stored["outputs"][f"use_nms_filter={nms}"]["metrics"])
    assert quality.measures["score"] == pytest.approx(expected.pop("score_wtd (mAP)"), abs=1e-9)
    assert quality.measures["score_wtd"] == pytest.approx(expected.pop("score_wtd (wmAP)"), abs=1e-9)
    ours = {
        name.format(cut): quality.measures[key.format(cut)]
        for name, key in NAMES.items()
        for cut in (50, 100)
    }
    assert ours == pytest.approx(expected, abs=1e-9)
