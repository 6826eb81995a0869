"""OCN against the published code (goldens g9): the network, its losses, and its prior knowledge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.evaluation.pair_nms import PairNms
from relforge.models.blocks.prediction import Labels
from relforge.models.detections import detections_of
from relforge.models.ocn.family import losses
from relforge.models.ocn.priors import co_occurrence, object_prior
from relforge.models.ocn.sizes import Sizes
from relforge.models.published import load_published
from relforge.models.training.assign import matching_costs
from relforge.models.training.targets import concatenate_targets
from tests.fixtures import detr_goldens as detr
from tests.fixtures import zoo_goldens as zoo

NO_LABELS = Labels((), ())
LISTING = "g9_ocn_state_dict.json"


@pytest.fixture(scope="module")
def g(golden: Any) -> Any:
    return golden("g9_ocn_inference")


@pytest.fixture(scope="module")
def words(shared: Callable[[str], Path], g: Any) -> Tensor:
    """The vectors of HICO-DET's verbs, each of length 1."""
    stored = np.load(shared("data/vocab/glove/hico_verb_glove-wiki-gigaword-300.npz"))["embedding_list"]
    unit = F.normalize(torch.from_numpy(stored), dim=1)
    g.check("buffer_verb_word_embedding", unit, 1e-6)
    return unit


@pytest.fixture(scope="module")
def state(goldens: Path, g: Any, words: Tensor) -> dict[str, Tensor]:
    """The network by formula; the prior knowledge is the real one."""
    real = {"obj_verb_co": g["buffer_obj_verb_co"], "verb_verb_co": g["buffer_verb_verb_co"]}
    return detr.formula_state(goldens, LISTING) | real | {"verb_word_embedding": words}


@pytest.fixture(scope="module")
def model(state: Any) -> Any:
    return zoo.load(state, lambda blueprint: blueprint.build(None))[0]


@pytest.fixture(scope="module")
def forward(model: Any, images: Any, record: Any) -> Any:
    stage = model.relations
    parts = detr.seams(model) | {"pairs": model.pairs, "relations": stage, "graph": stage.graph}
    for name in ("visual", "semantic"):
        for part in ("cross", "self", "out"):
            parts[f"{name}_{part}"] = getattr(stage, f"{name}_{part}")
    with torch.no_grad():
        return record(parts, lambda: model(images[0], NO_LABELS, images[1]).layers)


def test_a_published_file_tells_its_sizes(state: Any, model: Any, goldens: Path) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    assert (blueprint.kind, blueprint.backbone) == ("ocn", "resnet50")
    assert blueprint.sizes == Sizes()
    assert (len(blueprint.classes), len(blueprint.relations)) == (80, 117)
    assert len(json.loads((goldens / LISTING).read_text())) == len(model.state_dict()) == 557
    assert sum(p.numel() for p in model.parameters()) == 43_640_974


def test_gates_that_nothing_reads_are_left_out(state: Any, model: Any) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    unused = {
        f"{name}.{part}": torch.zeros(1)
        for name in ("semantic_gate2", "hs_gate")
        for part in ("weight", "bias")
    }
    load_published(model, state | unused, blueprint)
    with pytest.raises(ValueError, match=r"surplus semantic_gate3\.bias"):
        load_published(model, state | {"semantic_gate3.bias": torch.zeros(1)}, blueprint)


def test_pixels_and_queries(forward: Any, g: Any) -> None:
    detr.check_pixels(g, forward)
    detr.check_sequence(g, "hs_seq_first", torch.stack(forward["pairs"].pairs))


def test_semantic_states_and_calibration(forward: Any, model: Any, g: Any) -> None:
    g.check("semantic", forward["graph"], detr.HIDDEN)
    likeliest = torch.stack([layer.object_logits for layer in forward["result"]]).argmax(-1)
    assert likeliest.equal(g["obj_argmax"].long())
    g.check("semantic_aug", model.relations.object_prior[likeliest] @ forward["graph"], detr.HIDDEN)
    g.check("cross_att_v", forward["visual_cross"], detr.HIDDEN)
    g.check("cross_att_s", forward["semantic_cross"], detr.HIDDEN)
    g.check("cross_hs", forward["visual_self"], detr.HIDDEN)
    g.check("cross_semantic", forward["semantic_self"], detr.HIDDEN)
    g.check("fusion_1_out", forward["visual_out"], detr.HIDDEN)
    g.check("fusion_2_out", forward["semantic_out"], detr.HIDDEN)
    g.check("hs_aug", torch.stack(forward["relations"].layers), 5 * detr.HIDDEN)


def test_boxes_and_logits_of_every_layer(forward: Any, g: Any) -> None:
    detr.check_outputs(g, forward["result"])


def test_detections(forward: Any, g: Any, goldens: Path) -> None:
    found = detections_of(forward["result"][-1])
    detr.check_lists(g, found, detr.valid_interactions(goldens), PairNms())


@pytest.mark.slow
def test_training_cases(model: Any, state: Any, images: Any, golden: Any, goldens: Path) -> None:
    g, expected = golden("g9_ocn_training"), zoo.stored(goldens, "g9_ocn_training.json")
    cases, blueprint = expected["cases"], zoo.published_blueprint(state)
    assert blueprint is not None
    names = zoo.our_names(state, blueprint)
    output = model.train()(images[0], NO_LABELS, images[1])
    detr.check_outputs(g, output.layers[-1:])
    for name in ("main", "empty_second"):
        detr.check_case(model, output, losses(), detr.targets_of(g, f"{name}/"), cases[name])
        detr.check_gradients(model, cases[name], names)
        stored = cases[name]["losses"]["loss_semantic_similar"]
        assert output.terms["semantic"].item() == pytest.approx(stored, rel=detr.LOSS)
    targets = detr.targets_of(g, "main/")
    detr.check_costs(g, matching_costs(output.layers[-1], concatenate_targets(targets)), "main/")
    other = zoo.layer_terms(losses(relations="quality"), output.layers[-1:], targets)
    detr.check_losses(other, expected["last_layer_variations"]["giou_verb_label"], 2)
    empty = [targets[0].take(torch.zeros(0, dtype=torch.long))] * 2
    detr.check_case(model, output, losses(), empty, cases["both_empty"])


def test_priors_of_the_published_counts(shared: Callable[[str], Path], g: Any) -> None:
    priors = np.load(shared("goldens/g9_ocn_priors.npz"))
    counts = {name: torch.from_numpy(priors[name]) for name in priors.files}
    g.check("buffer_obj_verb_co", object_prior(counts["hico_obj_verb_counts"]), 3e-7)
    g.check("buffer_verb_verb_co", co_occurrence(counts["hico_verb_verb_counts"]), 1e-7)
    joint = object_prior(counts["vcoco_obj_verb_counts"], joint=True)
    torch.testing.assert_close(joint, counts["vcoco_obj_verb_co_buffer"], rtol=0, atol=3e-7)
