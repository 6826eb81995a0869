"""Matching and losses of fine-tuning under published settings, a missing object among them (goldens g15)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

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


OUTPUTS = {
    "pred_sub_boxes": "subject_boxes",
    "pred_obj_boxes": "object_boxes",
    "pred_sub_logits": "subject_logits",
    "pred_obj_logits": "object_logits",
    "pred_verb_logits": "relation_logits",
}


def test_gradients(case: Case) -> None:
    stored = case.expected["gradient_norms"]
    outputs = {name: getattr(case.layer, OUTPUTS[name]).clone().requires_grad_() for name in stored}
    layer = replace(case.layer, **{OUTPUTS[name]: value for name, value in outputs.items()})
    criterion = search_losses(relations=case.relations, pseudo=False)
    criterion(Output([layer]), case.targets, float(sum(len(t) for t in case.targets)))["total"].backward()
    for name, value in outputs.items():
        assert value.grad is not None
        assert value.grad.norm().item() == pytest.approx(stored[name], rel=1e-3), name


@pytest.mark.parametrize("subject_class", [True, False])
def test_a_batch_without_pairs(golden: Any, goldens: Path, subject_class: bool) -> None:
    stored = json.loads((goldens / "g15_fine_tuning.json").read_text())["criterion"]
    like = stored["hico_v2" if subject_class else "hico_v1"]
    case = Case(golden, {"none": like}, "none")
    empty = [target.take(torch.zeros(0, dtype=torch.long)) for target in case.targets]
    losses = search_losses(relations=case.relations, pseudo=False)(Output([case.layer]), empty, 1.0)
    expected = stored["no_pairs" if subject_class else "no_pairs_v1"]["losses"]
    for name, ours in TERMS.items():
        assert losses[ours].item() == pytest.approx(expected[name], rel=1e-5), name
