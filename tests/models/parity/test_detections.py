"""Detections of raw outputs against the three published forms of post-processing (goldens g5)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from relforge.models.blocks.prediction import Prediction
from relforge.models.detections import Detections, detections_of
from tests.fixtures.zoo_goldens import FIELDS

PERSON = 2  # of the fixture's nine classes


@pytest.fixture
def g(golden: Any) -> Any:
    return golden("g5_postprocess")


@pytest.fixture(params=[0, 1])
def image(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def found(g: Any, image: int) -> Detections:
    outputs = {ours: g[f"in/pred_{stored}"] for stored, ours in FIELDS.items()}
    return detections_of(Prediction(**outputs))[image]


def test_boxes_objects_and_scores_of_interactions(g: Any, found: Detections, image: int) -> None:
    height, width = g["in/target_sizes_hw"][image].tolist()
    boxes = torch.cat([found.subject_boxes, found.object_boxes])
    g.check(f"hoi/{image}/boxes", boxes * torch.tensor([width, height, width, height]), 1e-4)
    assert g[f"hoi/{image}/labels"][12:].equal(found.object_classes)
    g.check(f"hoi/{image}/verb_scores", found.relation_scores * found.object_scores[:, None], 1e-6)


def test_scene_graphs_have_the_subjects_class_and_score_too(g: Any, found: Detections, image: int) -> None:
    assert found.subject_classes is not None
    assert g[f"sgg/{image}/labels"].equal(torch.cat([found.subject_classes, found.object_classes]))
    ends = found.subject_scores * found.object_scores
    g.check(f"sgg/{image}/verb_scores", found.relation_scores * ends[:, None], 1e-6)


def test_unseen_interactions_are_those_of_people(g: Any, found: Detections, image: int) -> None:
    assert found.subject_classes is not None
    people = found.subject_classes == PERSON
    kept = found.relation_scores[people] * found.object_scores[people, None]
    g.check(f"hoi_zero_shot/{image}/verb_scores", kept, 1e-6)
