"""ParSeD (RLIPv1) against the published code (goldens g13)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.models.blocks.prediction import Labels, Prediction
from relforge.models.blueprint import Blueprint
from relforge.models.detections import detections_of
from relforge.models.training.assign import Hungarian, matching_costs
from relforge.models.training.search_losses import fine_tuning_losses
from relforge.models.training.targets import concatenate_targets
from tests.fixtures import zoo_goldens as zoo

NO_LABELS = Labels((), ())


@pytest.fixture(scope="module")
def state(checkpoint: Callable[..., dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return checkpoint("g13_parsed_state_dict.json")


@pytest.fixture(scope="module")
def model(state: Any) -> Any:
    return zoo.load(state, lambda blueprint: blueprint.build(None))[0]


def test_a_published_file_has_as_many_entries_and_tells_its_sizes(state: Any, model: Any) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    assert (blueprint.kind, blueprint.backbone) == ("parsed_v1", "resnet50")
    assert blueprint.sizes == type(blueprint.sizes)()
    assert (len(blueprint.classes), len(blueprint.relations)) == (12, 15)
    assert len(state) == 671 == len(model.state_dict()) + 2 * 2 * 3 * 6  # box heads are stored twice
    assert sum(p.numel() for p in model.parameters()) == 41_527_112


@pytest.fixture(scope="module")
def forward(model: Any, images: Any, record: Any) -> dict[str, Any]:
    parts = {"tokens": model.pyramid, "queries": model.queries}
    parts |= {f"encoder{i}": layer for i, layer in enumerate(model.encoder.layers)}
    parts |= {f"entity{i}": layer for i, layer in enumerate(model.entity_decoder.layers)}
    parts |= {f"relation{i}": layer for i, layer in enumerate(model.relation_decoder.layers)}
    with torch.no_grad():
        return dict(record(parts, lambda: model(images[0], NO_LABELS, images[1]).layers))


@pytest.fixture(scope="module")
def g(golden: Any) -> Any:
    return golden("g13_parsed_inference")


def test_pixels_and_decoder_states(forward: Any, g: Any) -> None:
    zoo.check_pixels(g, forward)
    g.check("hs_ho", torch.stack([forward[f"entity{i}"] for i in range(3)]), zoo.HIDDEN)
    g.check("hs_verb", torch.stack([forward[f"relation{i}"] for i in range(3)]), zoo.HIDDEN)


def test_references_boxes_and_logits_of_every_layer(forward: Any, g: Any) -> None:
    first, second = forward["queries"].references.chunk(2, 1)
    g.check("init_ref_sub", first, zoo.BOX)
    g.check("init_ref_obj", second, zoo.BOX)
    layers: list[Prediction] = forward["result"]
    boxes = torch.stack([torch.stack([p.subject_boxes, p.object_boxes]) for p in layers])
    g.check("inter_refs", boxes, zoo.BOX)
    zoo.check_outputs(g, layers)
    assert layers[-1].subject_logits is None


def test_detections(forward: Any, g: Any) -> None:
    for image, found in enumerate(detections_of(forward["result"][-1])):
        zoo.check_detections(g, "post", found, image)


@pytest.mark.slow
def test_the_object_classifier_serves_subjects_where_they_have_classes(
    model: Any, images: Any, g: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "subject_class", True)
    with torch.no_grad():
        layers = model(images[0], NO_LABELS, images[1]).layers
    g.check("with_subject_class/pred_sub_logits", layers[-1].subject_logits, zoo.LOGIT)
    zoo.check_outputs(g, layers)


@pytest.mark.slow
@pytest.mark.parametrize("subjects", [False, True])
def test_a_training_step(
    model: Any,
    state: Any,
    images: Any,
    golden: Any,
    goldens: Path,
    subjects: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    g, expected = golden("g13_parsed_training"), zoo.stored(goldens, "g13_parsed_training.json")
    expected = expected["with_subject_class"] if subjects else expected
    monkeypatch.setattr(model, "subject_class", subjects)
    targets = zoo.targets_of(g)
    model.train()
    model.zero_grad(set_to_none=True)

    output = model(images[0], NO_LABELS, images[1])
    criterion = fine_tuning_losses()
    losses = criterion(output, targets, 7.0)
    losses["total"].backward()

    zoo.check_outputs(g, output.layers)
    if not subjects:
        zoo.check_costs(g, matching_costs(output.layers[-1], concatenate_targets(targets)))
        focal = zoo.layer_terms(fine_tuning_losses(relations="focal"), output.layers[-1:], targets)
        zoo.check_losses(focal, expected["alternative_settings_last_layer"]["plain_focal"])
    assert zoo.matched(Hungarian(), output.layers, targets) == expected[zoo.MATCHED]
    zoo.check_losses(zoo.layer_terms(criterion, output.layers, targets), expected["losses"])
    assert losses["total"].item() == pytest.approx(expected["total"], rel=1e-5)
    blueprint = zoo.published_blueprint(state)
    assert isinstance(blueprint, Blueprint)
    zoo.check_gradients(model, expected["gradients"], zoo.our_names(state, blueprint))
    model.zero_grad(set_to_none=True)
    model.eval()
