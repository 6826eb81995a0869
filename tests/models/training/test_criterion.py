"""Losses at their edges."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from relforge.models.rlipv2.model import Prediction
from relforge.models.training.criterion import LossWeights, search_losses, tagger_losses
from relforge.models.training.matcher import match
from relforge.models.training.targets import Targets


def prediction(pictures: int = 2, slots: int = 6, objects: int = 4, relations: int = 3) -> Prediction:
    torch.manual_seed(0)
    boxes = lambda: (torch.rand(pictures, slots, 4) * 0.3 + 0.2).requires_grad_()  # noqa: E731
    logits = lambda n: torch.randn(pictures, slots, n).requires_grad_()  # noqa: E731
    return Prediction(boxes(), boxes(), logits(objects), logits(objects), logits(relations))


def targets(count: int, relations: int = 3) -> Targets:
    box = torch.tensor([[0.4, 0.4, 0.2, 0.2]]).repeat(count, 1)
    labels = torch.zeros(count, dtype=torch.long)
    held = torch.eye(relations)[torch.arange(count) % relations]
    return Targets(box, box, labels, labels + 1, held)


def test_a_batch_without_pairs_costs_nothing_and_still_has_gradients() -> None:
    output = prediction()
    total = tagger_losses(output, [targets(0), targets(0)]).total(LossWeights())
    assert float(total.detach()) == 0
    total.backward()
    assert all(getattr(output, field.name).grad is not None for field in fields(output))


def test_a_search_without_pairs_still_learns_that_there_are_none() -> None:
    output = prediction()
    losses = search_losses(output, [targets(0), targets(0)])
    assert float(losses.labels.detach()) > 0
    assert float(losses.subject_boxes.detach()) == 0


def test_an_object_that_does_not_exist_counts_nowhere() -> None:
    output = prediction()
    absent = targets(2)
    absent.object_boxes = torch.zeros(2, 4)
    losses = tagger_losses(output, [absent, targets(0)])
    assert float(losses.object_boxes.detach()) == 0
    assert float(losses.object_giou.detach()) == 0
    assert float(losses.subject_boxes.detach()) > 0


def test_perfect_boxes_and_labels_are_matched() -> None:
    output = prediction(pictures=1)
    wanted = targets(2)
    wanted.subject_boxes = output.subject_boxes[0, [4, 1]].detach()
    wanted.object_boxes = output.object_boxes[0, [4, 1]].detach()
    ((slots, chosen),) = match(output, [wanted])
    assert dict(zip(slots.tolist(), chosen.tolist(), strict=True)) == {4: 0, 1: 1}


def test_outputs_that_are_not_finite_are_refused() -> None:
    output = prediction()
    with torch.no_grad():
        output.relation_logits[0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        match(output, [targets(1), targets(1)])


@pytest.mark.parametrize("relations", ["focal", "smooth", "bce"])
def test_pseudo_labels_need_soft_targets(relations: str) -> None:
    with pytest.raises(ValueError, match="need relation targets 'quality'"):
        search_losses(prediction(), [targets(1), targets(1)], relations=relations, pseudo=torch.zeros(2, 3))


def test_unknown_relation_targets_are_named() -> None:
    with pytest.raises(ValueError, match="choose one of quality, focal, smooth, bce"):
        search_losses(prediction(), [targets(1), targets(1)], relations="hard")
