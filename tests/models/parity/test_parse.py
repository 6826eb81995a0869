"""ParSe against the published code (goldens g10)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.evaluation.pair_nms import PairNms
from relforge.models.blocks.prediction import Labels
from relforge.models.detections import detections_of
from relforge.models.published import load_published
from relforge.models.training.assign import matching_costs
from relforge.models.training.search_losses import fine_tuning_losses
from relforge.models.training.targets import concatenate_targets
from tests.fixtures import detr_goldens as detr
from tests.fixtures import zoo_goldens as zoo

NO_LABELS = Labels((), ())
LISTING = "g10_parse_state_dict.json"


@pytest.fixture(scope="module")
def state(goldens: Path) -> dict[str, torch.Tensor]:
    return detr.formula_state(goldens, LISTING)


@pytest.fixture(scope="module")
def model(state: Any) -> Any:
    return zoo.load(state, lambda blueprint: blueprint.build(None))[0]


@pytest.fixture(scope="module")
def g(golden: Any) -> Any:
    return golden("g10_parse_inference")


@pytest.fixture(scope="module")
def forward(model: Any, images: Any, record: Any) -> Any:
    parts = detr.seams(model) | {"entities": model.pairs.decoder, "relations": model.relations.decoder}
    with torch.no_grad():
        return record(parts, lambda: model(images[0], NO_LABELS, images[1]).layers)


def test_a_published_file_tells_its_sizes(state: Any, model: Any) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    assert (blueprint.kind, blueprint.backbone) == ("parse", "resnet50")
    assert blueprint.sizes == type(blueprint.sizes)()
    assert (len(blueprint.classes), len(blueprint.relations)) == (80, 117)
    assert len(model.state_dict()) == 468
    assert sum(p.numel() for p in model.parameters()) == 41_692_302
    assert sum(p.numel() for p in model.parameters() if not p.requires_grad) == 222_400


def test_surplus_and_missing_names_are_listed(state: Any, model: Any) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    damaged = {key: t for key, t in state.items() if key != "transformer.verb_decoder.norm.bias"}
    damaged |= {"matching_embed.weight": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"missing relations\.decoder\.norm\.bias\n *surplus matching_embed"):
        load_published(model, damaged, blueprint)


def test_pixels_entities_and_relations(forward: Any, g: Any) -> None:
    detr.check_pixels(g, forward)
    detr.check_sequence(g, "ho_seq_first", torch.stack(forward["entities"]))
    detr.check_sequence(g, "verb_seq_first", torch.stack(forward["relations"]))


def test_boxes_and_logits_of_every_layer(forward: Any, g: Any) -> None:
    detr.check_outputs(g, forward["result"])
    assert forward["result"][-1].subject_logits is None


def test_detections_and_the_best_pairs(forward: Any, g: Any, goldens: Path) -> None:
    found = detections_of(forward["result"][-1])
    detr.check_lists(g, found, detr.valid_interactions(goldens), PairNms())


@pytest.mark.slow
def test_training_cases(model: Any, state: Any, images: Any, golden: Any, goldens: Path) -> None:
    g, expected = golden("g10_parse_training"), zoo.stored(goldens, "g10_parse_training.json")
    cases, criterion = expected["cases"], fine_tuning_losses()
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    output = model.train()(images[0], NO_LABELS, images[1])
    detr.check_outputs(g, output.layers[-1:])
    for name in ("main", "empty_second"):
        targets = detr.targets_of(g, f"{name}/")
        detr.check_case(model, output, criterion, targets, cases[name])
        detr.check_gradients(model, cases[name], zoo.our_names(state, blueprint))
    targets = detr.targets_of(g, "main/")
    detr.check_costs(g, matching_costs(output.layers[-1], concatenate_targets(targets)), "main/")
    for name, relations in {"focal": "focal", "giou_verb_label": "quality"}.items():
        other = zoo.layer_terms(fine_tuning_losses(relations=relations), output.layers[-1:], targets)
        detr.check_losses(other, expected["last_layer_variations"][name], 2)
    empty = [targets[0].take(torch.zeros(0, dtype=torch.long))] * 2
    detr.check_case(model, output, criterion, empty, cases["both_empty"])
