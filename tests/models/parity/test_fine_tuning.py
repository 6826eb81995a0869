"""Matching and losses of fine-tuning under published settings, a missing object among them (goldens g15)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relforge.models.blocks.prediction import Output, Prediction
from relforge.models.training.assign import Hungarian, matching_costs
from relforge.models.training.search_losses import search_losses
from relforge.models.training.targets import Targets, concatenate_targets
from tests.fixtures.zoo_goldens import TERMS

SETTINGS = ["hico_v2", "hico_v2_correct_subject", "hico_v1", "vcoco_v2", "vcoco_v1", "vcoco_with_rql"]


class Case:
    """Outputs and targets of one setting, and what the published criterion made of them."""

    def __init__(self, golden: Any, expected: dict[str, Any], name: str) -> None:
        self.arrays, self.expected, self.name = golden("g15_criterion"), expected[name], name
        subject_class = self.expected["subject_class"]
        self.layer = Prediction(
            self.arrays["outputs/pred_sub_boxes"],
            self.arrays["outputs/pred_obj_boxes"],
            self.arrays["outputs/pred_sub_logits"] if subject_class else None,
            self.arrays["outputs/pred_obj_logits"],
            self.arrays["outputs/pred_verb_logits"],
        )
        self.targets = [self.image_targets(i) for i in range(3)]
        self.relations = "quality" if self.expected["giou_verb_label"] else "focal"

    def image_targets(self, number: int) -> Targets:
        stem = f"targets_{'missing' if self.expected['missing_object'] else 'plain'}/{number}/"
        fields = ("sub_boxes", "obj_boxes", "sub_labels", "obj_labels", "verb_labels")
        targets = Targets(*(self.arrays[f"{stem}{field}"] for field in fields))
        if self.expected["subject_label"] is not None:
            targets.subject_labels = targets.subject_labels * 0 + self.expected["subject_label"]
        return targets


@pytest.fixture(params=SETTINGS)
def case(request: pytest.FixtureRequest, golden: Any, goldens: Path) -> Case:
    stored = json.loads((goldens / "g15_fine_tuning.json").read_text())["criterion"]
    return Case(golden, stored, request.param)


def test_matching_costs(case: Case) -> None:
    costs = matching_costs(case.layer, concatenate_targets(case.targets))
    case.arrays.check(f"costs/{case.name}/giou", costs.giou, 1e-5)
    case.arrays.check(f"costs/{case.name}/bbox", costs.boxes, 1e-5)
    case.arrays.check(f"costs/{case.name}/verb", costs.relations, 1e-5)


def test_assignment(case: Case) -> None:
    ours = [[a.tolist(), b.tolist()] for a, b in Hungarian().assign(case.layer, case.targets)]
    assert ours == case.expected["matched"]


def test_every_term_and_the_total(case: Case) -> None:
    criterion = search_losses(relations=case.relations, pseudo=False)
    pairs = float(sum(len(t) for t in case.targets))
    losses = criterion(Output([case.layer]), case.targets, pairs)
    for stored, name in TERMS.items():
        assert losses[name].item() == pytest.approx(case.expected["losses"][stored], rel=1e-5), name
    assert losses["total"].item() == pytest.approx(case.expected["total"], rel=1e-5)
