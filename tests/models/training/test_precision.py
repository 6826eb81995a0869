"""Matching and losses are those of float32, whatever autocast the model runs under."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from relforge.models.blocks.box_prediction import BoxOutput, BoxPrediction
from relforge.models.blocks.prediction import Output, Prediction
from relforge.models.speaq.matching import TripletCosts
from relforge.models.training.assign import Hungarian, Matcher
from relforge.models.training.box_criterion import BoxCriterion
from relforge.models.training.box_targets import BoxTargets
from relforge.models.training.grouped_matching import GroupedMatching
from relforge.models.training.multi_assignment import MultiAssignment
from relforge.models.training.precision import as_float32
from relforge.models.training.search_losses import search_losses
from relforge.models.training.targets import Targets

QUERIES, TARGETS, RELATIONS = 40, 12, 60
GENERATOR = torch.Generator()


def boxes(*shape: int) -> Tensor:
    return torch.rand(*shape, 4, generator=GENERATOR) * 0.3 + 0.2


def logits(labels: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(2, QUERIES, labels, generator=GENERATOR).to(dtype)


@pytest.fixture(params=[torch.float32, torch.bfloat16])
def layer(request: pytest.FixtureRequest) -> Prediction:
    """What a model predicts under autocast: boxes in float32, logits in either."""
    GENERATOR.manual_seed(0)
    return Prediction(
        boxes(2, QUERIES),
        boxes(2, QUERIES),
        logits(9, request.param),
        logits(9, request.param),
        logits(RELATIONS, request.param),
        relation_boxes=boxes(2, QUERIES),
    )


@pytest.fixture
def targets() -> list[Targets]:
    GENERATOR.manual_seed(1)

    def labels(most: int) -> Tensor:
        return torch.randint(0, most, (TARGETS,), generator=GENERATOR)

    return [
        Targets(
            boxes(TARGETS), boxes(TARGETS), labels(8), labels(8), torch.eye(RELATIONS)[labels(RELATIONS - 1)]
        )
        for _ in range(2)
    ]


def test_as_float32_leaves_what_is_float32_as_it_is(layer: Prediction) -> None:
    found = as_float32(Output([layer], layer.relation_logits))
    assert found.relation_features.dtype == torch.float32
    assert {value.dtype for value in vars(found.layers[0]).values() if isinstance(value, Tensor)} == {
        torch.float32
    }
    assert as_float32(found) is found


@pytest.mark.parametrize("matcher", [Hungarian(), TripletCosts()], ids=["hungarian", "triplets"])
def test_costs_under_autocast_are_those_of_float32(
    layer: Prediction, targets: list[Targets], matcher: Matcher
) -> None:
    expected = matcher.tables([as_float32(layer)], targets)
    with torch.autocast("cpu", torch.bfloat16):
        found = matcher.tables([layer], targets)
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_the_assignment_of_repeated_targets_is_that_of_float32(
    layer: Prediction, targets: list[Targets]
) -> None:
    grouped = GroupedMatching(Hungarian(), multi=MultiAssignment(), relations=[""] * RELATIONS)
    expected = grouped.match([as_float32(layer)], targets)
    with torch.autocast("cpu", torch.bfloat16):
        found = grouped.match([layer], targets)
    for one, two in zip(found[0], expected[0], strict=True):
        assert torch.equal(one.queries, two.queries)
        assert torch.equal(one.costs, two.costs)


def test_losses_under_autocast_are_those_of_float32(layer: Prediction, targets: list[Targets]) -> None:
    losses = search_losses(pseudo=True)
    features = torch.randn(RELATIONS, 16, generator=GENERATOR)
    expected = losses(Output([as_float32(layer)], features), targets, 24.0)
    with torch.autocast("cpu", torch.bfloat16):
        found = losses(Output([layer], features), targets, 24.0)
    assert {name: value.item() for name, value in found.items()} == {
        name: value.item() for name, value in expected.items()
    }


def test_losses_of_boxes_under_autocast_are_those_of_float32(
    layer: Prediction, targets: list[Targets]
) -> None:
    wanted = [BoxTargets(one.object_boxes, one.object_labels) for one in targets]
    predicted = BoxPrediction(layer.object_boxes, layer.object_logits)
    expected = BoxCriterion()(BoxOutput([as_float32(predicted)]), wanted, 24.0)
    with torch.autocast("cpu", torch.bfloat16):
        found = BoxCriterion()(BoxOutput([replace(predicted)]), wanted, 24.0)
    assert {name: value.item() for name, value in found.items()} == {
        name: value.item() for name, value in expected.items()
    }
