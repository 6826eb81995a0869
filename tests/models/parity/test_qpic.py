"""QPIC against the published code (goldens g7): RLIPv2's copy and the authors' give equal numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.evaluation.pair_nms import PairNms
from relforge.models.blocks.prediction import Labels
from relforge.models.detections import detections_of
from relforge.models.published import load_published
from relforge.models.training.assign import matching_costs
from relforge.models.training.search_losses import hard_label_losses
from relforge.models.training.targets import concatenate_targets
from tests.fixtures import detr_goldens as detr
from tests.fixtures import zoo_goldens as zoo

NO_LABELS = Labels((), ())
LISTING = "g7_qpic_state_dict.json"


@pytest.fixture(scope="module")
def state(goldens: Path) -> dict[str, torch.Tensor]:
    return detr.formula_state(goldens, LISTING)


@pytest.fixture(scope="module")
def model(state: Any) -> Any:
    return zoo.load(state, lambda blueprint: blueprint.build(None))[0]


@pytest.fixture(scope="module")
def g(golden: Any) -> Any:
    return golden("g7_qpic_inference")


@pytest.fixture(scope="module")
def expected(goldens: Path) -> Any:
    return zoo.stored(goldens, "g7_qpic_training.json")


@pytest.fixture(scope="module")
def forward(model: Any, images: Any, record: Any) -> Any:
    parts = detr.seams(model) | {"pairs": model.pairs}
    with torch.no_grad():
        return record(parts, lambda: model(images[0], NO_LABELS, images[1]).layers)


def test_a_published_file_tells_its_sizes(state: Any, model: Any, goldens: Path) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    assert (blueprint.kind, blueprint.backbone) == ("qpic", "resnet50")
    assert blueprint.sizes == type(blueprint.sizes)()
    assert (len(blueprint.classes), len(blueprint.relations)) == (80, 117)
    entries = json.loads((goldens / LISTING).read_text())
    counters = [key for key in entries if key.endswith("num_batches_tracked")]
    assert len(entries) - len(counters) == len(model.state_dict()) == 466
    assert sum(p.numel() for p in model.parameters()) == 41_684_622
    assert sum(p.numel() for p in model.parameters() if not p.requires_grad) == 222_400


def test_surplus_and_missing_names_are_listed(state: Any, model: Any) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    damaged = {k: t for k, t in state.items() if k != "transformer.decoder.layers.3.norm2.bias"}
    damaged |= {"hs_gate.weight": torch.zeros(2)}
    with pytest.raises(
        ValueError, match=r"missing pairs\.decoder\.layers\.3\.norm2\.bias\n *surplus hs_gate"
    ):
        load_published(model, damaged, blueprint)


def test_pixels_and_queries(forward: Any, g: Any) -> None:
    detr.check_pixels(g, forward)
    detr.check_sequence(g, "hs_seq_first", torch.stack(forward["pairs"].pairs))


def test_boxes_and_logits_of_every_layer(forward: Any, g: Any) -> None:
    detr.check_outputs(g, forward["result"])


def test_detections(forward: Any, g: Any, goldens: Path) -> None:
    found = detections_of(forward["result"][-1])
    detr.check_lists(g, found, detr.valid_interactions(goldens), PairNms())


@pytest.mark.slow
def test_training_cases(model: Any, state: Any, images: Any, golden: Any, expected: Any) -> None:
    g, cases = golden("g7_qpic_training"), expected["cases"]
    criterion = hard_label_losses()
    output = model.train()(images[0], NO_LABELS, images[1])
    detr.check_outputs(g, output.layers[-1:])
    for name in ("main", "empty_second"):
        targets = detr.targets_of(g, f"{name}/")
        detr.check_case(model, output, criterion, targets, cases[name])
        blueprint = zoo.published_blueprint(state)
        assert blueprint is not None
        detr.check_gradients(model, cases[name], zoo.our_names(state, blueprint))
    targets = detr.targets_of(g, "main/")
    detr.check_costs(g, matching_costs(output.layers[-1], concatenate_targets(targets)), "main/")
    for name, relations in {"focal": "focal", "giou_verb_label": "quality", "bce": "bce"}.items():
        other = zoo.layer_terms(hard_label_losses(relations=relations), output.layers[-1:], targets)
        detr.check_losses(other, expected["last_layer_variations"][name], 2)
    empty = [targets[0].take(torch.zeros(0, dtype=torch.long))] * 2
    detr.check_case(model, output, criterion, empty, cases["both_empty"])


@pytest.mark.slow
def test_a_missing_object_of_vcoco(goldens: Path, images: Any, expected: Any) -> None:
    heads = {"obj_class_embed": 82, "verb_class_embed": 29}
    shapes = {f"{name}.weight": [rows, 256] for name, rows in heads.items()}
    shapes |= {f"{name}.bias": [rows] for name, rows in heads.items()}
    state = detr.formula_state(goldens, LISTING, shapes)
    model, blueprint = zoo.load(state, lambda found: found.build(None))
    assert (len(blueprint.classes), len(blueprint.relations)) == (81, 29)
    case = expected["cases"]["vcoco_missing_object"]
    output = model.train()(images[0], NO_LABELS, images[1])
    targets = detr.targets_in(case["targets"], 29)
    detr.check_case(model, output, hard_label_losses(), targets, case)
    detr.check_gradients(model, case, zoo.our_names(state, blueprint))
