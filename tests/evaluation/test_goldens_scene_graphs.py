"""Scene-graph recall against the numbers that SpeaQ's evaluator and Scene-Graph-Benchmark's gave (g17)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relforge.evaluation.scene_graph_folder import read_graph_folder, write_graph_folder
from relforge.evaluation.scene_graph_gold import SceneGraphGold
from relforge.evaluation.scene_graph_quality import Rules, recalls
from relforge.evaluation.scene_graph_recall import CUTS
from relforge.evaluation.scene_graph_tables import Names
from relforge.evaluation.scene_graphs import Predicted, SceneGraphs, given, starts
from relforge.evaluation.vg_sgg import PROTOCOLS, VgSggEvaluator
from tests.conftest import shared_path

SETS = ("sgdet", "sgdet_top2", "sgcls", "predcls")
EVALUATORS = {"speaq": "speaq", "sgb": "scene_graph_benchmark"}
NAMES = Names(
    [str(k) for k in range(20)], [f"class {k:02d}" for k in range(12)], [f"predicate {k}" for k in range(10)]
)


class Golden:
    """One set: `gold`, predictions as the model gives them (`own`), the list of zero-shot triplets (subject,
    object, predicate), the mode, and the numbers by evaluator."""

    def __init__(self, name: str) -> None:
        self._arrays, self._name = np.load(shared_path("goldens/g17_sgg_eval.npz")), name
        self.expected = json.loads(shared_path("goldens/g17_sgg_eval.json").read_text())["cases"][name]
        self.mode: str = self.expected["mode"]
        self.zero_shot = self._of("zero_shot")
        box, relation, own_box, own = (starts(self._of("counts")[:, k]) for k in range(4))
        facts = self._of("gt_rels")
        pairs = _rows(facts[:, :2], relation, box)
        self.gold = SceneGraphs(
            box, self._of("gt_boxes"), self._of("gt_labels"), relation, pairs, facts[:, 2]
        )
        self.own = SceneGraphs(
            own_box,
            self._of("pred_boxes"),
            self._of("pred_labels"),
            own,
            _rows(self._of("pairs"), own, own_box),
            self._of("rel_labels"),
            self._of("pred_scores"),
            self._of("rel_scores")[:, :-1],  # the last one is "no relation"
        )

    @property
    def found(self) -> SceneGraphs:
        """Predictions with the boxes and classes that the mode gives."""
        return self.own if self.mode == "sgdet" else given(self.own, self.gold, labels=self.mode == "predcls")

    @property
    def names(self) -> Names:
        return replace(NAMES, images=NAMES.images[: len(self.gold)])

    def _of(self, key: str) -> Any:
        found = self._arrays[f"{self._name}/{key}"]
        return found.astype(np.int64) if found.dtype.kind == "i" else found


def _rows(places: np.ndarray, start: np.ndarray, box_start: np.ndarray) -> np.ndarray:
    found: np.ndarray = places + np.repeat(box_start[:-1], np.diff(start))[:, None]
    return found


@pytest.fixture(scope="module", params=SETS)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


@pytest.mark.parametrize("protocol", EVALUATORS)
def test_every_mean_and_every_predicate_is_that_of_the_published_evaluator(
    golden: Golden, protocol: str, tmp_path: Path
) -> None:
    expected = golden.expected[EVALUATORS[protocol]]
    torch.save(torch.tensor(golden.zero_shot + 1), tmp_path / "zeroshot_triplet.pytorch")
    evaluator = VgSggEvaluator(
        protocol=protocol, count_missing=False, zero_shot=str(tmp_path / "zeroshot_triplet.pytorch")
    )

    result = evaluator.measure(
        Predicted(golden.found, golden.mode), SceneGraphGold(golden.gold, golden.names)
    )

    ours = {name.replace("ng-", "ng"): one.value for name, one in result.measures.items()}
    ours = {name: value for name, value in ours.items() if " " not in name}
    theirs = {name: expected[name] for name in ours if name in expected}
    kinds = {"R", "ngR", "zR", "mR"} | ({"ngzR", "ngmR"} if protocol == "sgb" else set())
    kinds |= set() if golden.mode == "sgdet" else {"A"}
    assert set(theirs) == {f"{kind}@{cut}" for kind in kinds for cut in CUTS}
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-9)
    for cut in CUTS:
        per_predicate = [row[f"recall@{cut}"] for row in result.classes]
        assert per_predicate == pytest.approx(expected[f"per_predicate_R@{cut}"], abs=1e-9)
    if protocol == "sgb":
        ng = [row["ng_recall@100"] for row in result.classes]
        assert ng == pytest.approx(expected["per_predicate_ngR@100"], abs=1e-9)


@pytest.mark.parametrize("protocol", EVALUATORS)
def test_every_image_is_that_of_the_published_evaluator(golden: Golden, protocol: str) -> None:
    expected = golden.expected[EVALUATORS[protocol]]
    rules = Rules(PROTOCOLS[protocol], protocol == "speaq", count_missing=False)

    ours = recalls(golden.found, golden.gold, 10, rules)

    for cut in CUTS:
        images, shares = ours.constrained.per_image(cut)
        assert shares.tolist() == pytest.approx(expected[f"per_image_R@{cut}"], abs=1e-9)
        if protocol == "speaq":
            assert images.tolist() == expected["images_counted"]
            ng = ours.unconstrained.per_image(cut)[1].tolist()
            assert ng == pytest.approx(expected[f"per_image_ngR@{cut}"], abs=1e-9)
            counted = np.isin(golden.gold.images, images)
            listed = {tuple(row) for row in golden.zero_shot[:, [0, 2, 1]].tolist()}
            unseen = [tuple(row) in listed for row in golden.gold.triplets()[counted].tolist()]
            images, shares = ours.constrained.take(np.flatnonzero(unseen)).per_image(cut)
            assert images.tolist() == expected[f"zero_shot_images@{cut}"]
            assert shares.tolist() == pytest.approx(expected[f"per_image_zR@{cut}"], abs=1e-9)


def test_an_image_without_predictions_counts_as_0_unless_it_is_left_out(golden: Golden) -> None:
    predicted, gold = Predicted(golden.found, golden.mode), SceneGraphGold(golden.gold, golden.names)
    left_out, counted = (
        VgSggEvaluator(count_missing=counts).measure(predicted, gold) for counts in (False, True)
    )

    missing, images = counted.counts["images without predictions"], counted.counts["images"]
    assert (missing, counted.counts["images without gold relations"]) == (1, 1)
    share = (images - missing) / images
    for cut in CUTS:
        for name in (f"R@{cut}", f"ng-R@{cut}"):
            assert counted.measures[name].value == pytest.approx(left_out.measures[name].value * share)
    assert VgSggEvaluator().count_missing


def test_predictions_come_back_from_a_folder(golden: Golden, tmp_path: Path) -> None:
    write_graph_folder(golden.own, golden.names, tmp_path / "found")

    again = read_graph_folder(str(tmp_path / "found"), golden.names)

    for name in (
        "box_start",
        "labels",
        "relation_start",
        "pairs",
        "predicates",
        "box_scores",
        "probabilities",
    ):
        np.testing.assert_array_equal(getattr(again, name), getattr(golden.own, name), err_msg=name)
    np.testing.assert_allclose(again.boxes, golden.own.boxes, atol=1e-4)
