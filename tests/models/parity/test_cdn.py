"""CDN against the published code (goldens g8): RLIPv2's copy of the network, stage two of the authors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relforge.evaluation.pair_nms import PairNms
from relforge.models.blocks.prediction import Labels, Output
from relforge.models.cdn.losses import losses
from relforge.models.cdn.reweighting import weights_of, with_background
from relforge.models.cdn.sizes import Sizes
from relforge.models.detections import detections_of
from relforge.models.published import load_published
from relforge.models.training.assign import matching_costs
from relforge.models.training.criterion import Criterion
from relforge.models.training.label_counts import LabelCounts
from relforge.models.training.targets import Targets, concatenate_targets
from relforge.trainer.optimiser import freeze
from tests.fixtures import detr_goldens as detr
from tests.fixtures import zoo_goldens as zoo

NO_LABELS = Labels((), ())
LISTING = "g8_cdn_state_dict.json"
BOTH = ["objects", "relations"]
FROZEN = ("backbone.", "tokens.", "encoder.", "pairs.queries.")


@pytest.fixture(scope="module")
def state(goldens: Path) -> dict[str, Tensor]:
    return detr.formula_state(goldens, LISTING)


@pytest.fixture(scope="module")
def model(state: Any) -> Any:
    return zoo.load(state, lambda blueprint: blueprint.build(None))[0]


@pytest.fixture(scope="module")
def forward(model: Any, images: Any, record: Any) -> Any:
    parts = detr.seams(model) | {"pairs": model.pairs, "relations": model.relations}
    with torch.no_grad():
        return record(parts, lambda: model(images[0], NO_LABELS, images[1]).layers)


@pytest.fixture(scope="module")
def g(golden: Any) -> Any:
    return golden("g8_cdn_inference")


@pytest.fixture(scope="module")
def stage_two(golden: Any) -> Any:
    return golden("g8_cdn_reweighting")


@pytest.fixture(scope="module")
def stored(goldens: Path) -> Any:
    return zoo.stored(goldens, "g8_cdn_reweighting.json")


@pytest.fixture(scope="module")
def targets(golden: Any) -> list[Targets]:
    return detr.targets_of(golden("g8_cdn_training"), "main/")


@pytest.fixture(scope="module")
def output(model: Any, images: Any) -> Output:
    """Of a training pass; without dropout it is that of an evaluation."""
    return model.train()(images[0], NO_LABELS, images[1])


def test_a_published_file_tells_its_sizes(state: Any, model: Any, goldens: Path) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    assert (blueprint.kind, blueprint.backbone) == ("cdn", "resnet50")
    assert blueprint.sizes == Sizes()
    assert (len(blueprint.classes), len(blueprint.relations)) == (80, 117)
    assert len(json.loads((goldens / LISTING).read_text())) == len(model.state_dict()) == 468
    assert sum(p.numel() for p in model.parameters()) == 41_675_918


def test_pixels_pairs_and_relations(forward: Any, g: Any) -> None:
    detr.check_pixels(g, forward)
    detr.check_sequence(g, "hopd_seq_first", torch.stack(forward["pairs"].pairs))
    detr.check_sequence(g, "interaction_seq_first", torch.stack(forward["relations"].layers))


def test_boxes_and_logits_of_every_layer(forward: Any, g: Any) -> None:
    detr.check_outputs(g, forward["result"])


def test_detections(forward: Any, g: Any, goldens: Path) -> None:
    found = detections_of(forward["result"][-1])
    detr.check_lists(g, found, detr.valid_interactions(goldens), PairNms())


@pytest.mark.slow
def test_training_cases(
    model: Any, state: Any, output: Output, targets: Any, golden: Any, goldens: Path
) -> None:
    g = golden("g8_cdn_training")
    expected = zoo.stored(goldens, "g8_cdn_training.json")
    cases, blueprint = expected["cases"], zoo.published_blueprint(state)
    assert blueprint is not None
    names = zoo.our_names(state, blueprint)
    detr.check_outputs(g, output.layers[-1:])
    for name in ("main", "empty_second"):
        detr.check_case(model, output, losses(), detr.targets_of(g, f"{name}/"), cases[name])
        detr.check_gradients(model, cases[name], names)
    detr.check_costs(g, matching_costs(output.layers[-1], concatenate_targets(targets)), "main/")
    other = zoo.layer_terms(losses(relations="quality"), output.layers[-1:], targets)
    detr.check_losses(other, expected["last_layer_variations"]["giou_verb_label"], 2)
    empty = [targets[0].take(torch.zeros(0, dtype=torch.long))] * 2
    detr.check_case(model, output, losses(), empty, cases["both_empty"])


def test_class_weights_of_counts(stage_two: Any) -> None:
    for counts, weights in {
        "obj_counts_init": "obj_weights_init",
        "verb_counts_init": "verb_weights_init",
        "vcoco_verb_counts_init": "vcoco_verb_weights_init",
        "long_obj_sum_before": "cal_weights_of_long_obj_sum",
        "long_verb_sum_before": "cal_weights_of_long_verb_sum",
    }.items():
        torch.testing.assert_close(weights_of(stage_two[counts]), stage_two[weights], rtol=1e-6, atol=0)
    counts = stage_two["verb_counts_init"]
    assert with_background(counts[:-1]).equal(counts)


def counts_of(stage_two: Any) -> LabelCounts:
    """The training set's: its sums over relations and objects are all that is used."""
    objects = stage_two["obj_counts_init"][:-1]
    return LabelCounts(objects[:, None], stage_two["verb_counts_init"][:-1], torch.zeros(117, 117))


def authors_terms(terms: dict[str, Tensor]) -> dict[str, float]:
    """The terms as the authors log them: their relation loss is half of ours, with twice the weight."""
    found = {stored: float(terms[name]) for stored, name in zoo.TERMS.items()}
    return found | {"loss_verb_ce": found["loss_verb_ce"] / 2}


def check_step(criterion: Criterion, output: Output, targets: list[Targets], case: Any) -> None:
    """Every term of every layer and their sum, in the order in which the authors' code goes."""
    with torch.no_grad():
        for suffix, layer in zip(("", "_0", "_1"), [output.layers[-1], *output.layers[:-1]], strict=True):
            for name, value in authors_terms(criterion.layer_terms(layer, targets, 6.0)).items():
                assert value == pytest.approx(case["losses"][name + suffix], rel=detr.LOSS), name + suffix


def check_total(criterion: Criterion, output: Output, targets: list[Targets], case: Any) -> None:
    assert criterion(output, targets, 6.0)["total"].item() == pytest.approx(case["total"], rel=detr.LOSS)


def test_stage_one_has_the_authors_total(output: Output, targets: Any, stored: Any) -> None:
    check_step(losses(), output, targets, stored["stage1_base"])
    check_total(losses(), output, targets, stored["stage1_base"])


def test_dynamic_weights_count_every_layer_of_every_step(
    output: Output, targets: Any, stage_two: Any, stored: Any
) -> None:
    criterion = losses(reweight=BOTH, counts=counts_of(stage_two))
    for step in stored["stage2_dynamic_two_steps"]:
        check_step(criterion, output, targets, step)
    entries = criterion.state_dict()
    assert entries["labels"]["entries"].equal(stage_two["queue_obj_counts"])
    assert entries["relations"]["entries"].equal(stage_two["queue_verb_counts"])


def long_queue(stage_two: Any) -> dict[str, dict[str, Tensor]]:
    """150 entries with the stored sums."""
    state = {}
    for term, name in {"labels": "long_obj_sum_before", "relations": "long_verb_sum_before"}.items():
        entries = torch.zeros(150, len(stage_two[name]), dtype=torch.long)
        entries[0] = stage_two[name]
        state[term] = {"entries": entries}
    return state


def test_a_longer_queue_moves_weights_from_the_training_set_to_the_last_batches(
    output: Output, targets: Any, stage_two: Any, stored: Any
) -> None:
    criterion = losses(reweight=BOTH, counts=counts_of(stage_two))
    criterion.load_state_dict(long_queue(stage_two))
    check_total(criterion, output, targets, stored["stage2_dynamic_long_queue"])
    criterion.load_state_dict(long_queue(stage_two))
    check_step(criterion, output, targets, stored["stage2_dynamic_long_queue"])


def test_a_full_queue_forgets_the_oldest(output: Output, targets: Any, stage_two: Any, stored: Any) -> None:
    criterion = losses(reweight=BOTH, queue=4, counts=counts_of(stage_two))
    check_total(criterion, output, targets, stored["stage2_dynamic_two_steps"][0])
    check_step(criterion, output, targets, stored["stage2_queue_of_4_second_step"])
    state = criterion.state_dict()
    sizes = [len(state[term]["entries"]) for term in ("labels", "relations")]
    assert sizes == stored["stage2_queue_of_4_second_step"]["queue_sizes_after"]


def test_static_weights(output: Output, targets: Any, stage_two: Any, stored: Any) -> None:
    criterion = losses(reweight=BOTH, static=True, counts=counts_of(stage_two))
    check_step(criterion, output, targets, stored["stage2_static"])
    check_total(criterion, output, targets, stored["stage2_static"])


def test_stage_two_trains_decoders_and_heads_alone(state: Any, stored: Any) -> None:
    model, _ = zoo.load(state, lambda blueprint: blueprint.build(None))
    freeze(model, FROZEN)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == stored["trainable_in_stage2"]


@pytest.mark.slow
def test_the_matching_head(goldens: Path, images: Any, stage_two: Any, targets: Any, stored: Any) -> None:
    shapes = {key: shape for key, (shape, _) in stored["use_matching"]["extra_keys"].items()}
    state = detr.formula_state(goldens, LISTING, shapes)
    model, blueprint = zoo.load(state, lambda found: found.build(None))
    assert blueprint.sizes.matching
    output = model.train()(images[0], NO_LABELS, images[1])
    assert output.layers[-1].pair_logits is not None
    stage_two.check("matching_logits", output.layers[-1].pair_logits, detr.LOGIT)
    found = detections_of(output.layers[-1])[0]
    scores = found.relation_scores * found.object_scores[:, None]
    stage_two.check("matching_post_verb_scores", scores, detr.SCORE)
    case = stored["use_matching"]
    check_step(losses(), output, targets, case)
    terms = losses().layer_terms(output.layers[-1], targets, 6.0)
    assert terms["matching"].item() == pytest.approx(case["losses"]["loss_matching"], rel=detr.LOSS)
    total = losses()(output, targets, 6.0)["total"]
    total.backward()
    assert total.item() == pytest.approx(case["total"], rel=detr.LOSS)
    detr.check_gradients(model, case, zoo.our_names(state, blueprint))


def test_a_file_without_matching_head_does_not_fit_a_model_with_one(state: Any) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    blueprint.sizes = Sizes(matching=True)
    with pytest.raises(ValueError, match=r"missing pair_head\.bias"):
        load_published(blueprint.build(None), state, blueprint)


def test_rare_labels_need_counts_and_hard_targets() -> None:
    with pytest.raises(ValueError, match="needs the label counts"):
        losses(reweight=BOTH)
    with pytest.raises(ValueError, match="give a list of objects and relations"):
        losses(reweight=["verbs"])
    counts = LabelCounts(torch.ones(2, 3), torch.ones(3), torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"weighted relations need losses\.relations `focal`"):
        losses(relations="bce", reweight=["relations"], counts=counts)
    assert np.isfinite(weights_of(torch.tensor([0, 0, 0])).numpy()).all()
