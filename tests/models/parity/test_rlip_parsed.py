"""RLIP-ParSeD (RLIPv1) against the published code (goldens g14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.models.blocks.backbone import resnet50
from relforge.models.blocks.prediction import Labels, Output
from relforge.models.detections import detections_of
from relforge.models.training.assign import Hungarian, matching_costs
from relforge.models.training.criterion import Criterion
from relforge.models.training.relation_labels import pseudo_labels
from relforge.models.training.search_losses import search_losses
from relforge.models.training.targets import concatenate_targets
from relforge.models.zoo import family
from tests.fixtures import zoo_goldens as zoo

OBJECTS = 13


@pytest.fixture(scope="module")
def state(checkpoint: Callable[..., dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return checkpoint("g14_rlip_parsed_state_dict.json")


@pytest.fixture(scope="module")
def model(state: Any, roberta: Any) -> Any:
    def build(blueprint: Any) -> Any:
        return family(blueprint.kind).build(
            blueprint.sizes, backbone=resnet50(), text_encoder=roberta, classes=(), relations=()
        )

    return zoo.load(state, build)[0]


def test_a_published_file_has_as_many_entries_and_tells_its_sizes(state: Any, model: Any) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    assert (blueprint.kind, blueprint.backbone) == ("rlip_parsed", "resnet50")
    assert blueprint.sizes == type(blueprint.sizes)()
    assert len(state) == 942 == len(model.state_dict()) + 2 * 2 * 3 * 6  # box heads are stored twice
    assert sum(p.numel() for p in model.parameters()) == 171_154_420


@pytest.fixture(scope="module")
def labels(texts: list[str]) -> Labels:
    return Labels(texts[:OBJECTS], texts[OBJECTS:])


@pytest.fixture(scope="module")
def forward(model: Any, images: Any, labels: Labels, record: Any) -> dict[str, Any]:
    parts = {"tokens": model.pyramid, "queries": model.queries, "resized": model.resizer}
    parts |= {f"encoder{i}": layer for i, layer in enumerate(model.encoder.layers)}
    parts |= {f"entity{i}": layer for i, layer in enumerate(model.entity_decoder.layers)}
    parts |= {f"relation{i}": layer for i, layer in enumerate(model.relation_decoder.layers)}
    parts |= {f"moved{i}": mlp for i, mlp in enumerate(model.subject_boxes.mlps)}
    parts |= {"entities": model.entity_fusion, "relations": model.relation_fusion}
    with torch.no_grad():
        return dict(record(parts, lambda: model(images[0], labels, images[1])))


@pytest.fixture(scope="module")
def g(golden: Any) -> Any:
    return golden("g14_rlip_parsed_inference")


def test_texts_pixels_and_decoder_states(forward: Any, g: Any, model: Any, labels: Labels) -> None:
    with torch.no_grad():
        g.check("text_pooled", model.encode_labels(labels).features, 1e-5)
    g.check("text_resized", forward["resized"], zoo.HIDDEN)
    zoo.check_pixels(g, forward)
    g.check("hs_ho_bf_fusion", torch.stack([forward[f"entity{i}"] for i in range(3)]), zoo.HIDDEN)
    g.check("hs_verb_bf_fusion", torch.stack([forward[f"relation{i}"] for i in range(3)]), zoo.HIDDEN)


def test_fused_queries_and_texts_of_every_layer(forward: Any, g: Any) -> None:
    g.check("hs_ho_fused", torch.stack([queries for queries, _ in forward["entities"]]), zoo.HIDDEN)
    g.check("hs_verb_fused", torch.stack([queries for queries, _ in forward["relations"]]), zoo.HIDDEN)
    both = zip(forward["entities"], forward["relations"], strict=True)
    texts = torch.stack([torch.cat([e, r], 1) for (_, e), (_, r) in both])  # layer x image x text x dim
    g.check("text_dec_full", texts.transpose(1, 2), zoo.HIDDEN)


def test_references_boxes_and_logits_of_every_layer(forward: Any, g: Any) -> None:
    first, second = forward["queries"].references.chunk(2, 1)
    g.check("init_ref_sub", first, zoo.BOX)
    g.check("init_ref_obj", second, zoo.BOX)
    zoo.check_outputs(g, forward["result"].layers)


def test_detections_and_those_of_people_alone(forward: Any, g: Any) -> None:
    for image, found in enumerate(detections_of(forward["result"].layers[-1])):
        zoo.check_detections(g, "post", found, image)
        assert found.subject_classes is not None
        person = 0  # the zero-shot evaluation drops the queries of every other class
        assert int((found.subject_classes == person).sum()) == len(g[f"post_zero_shot/{image}/sub_ids"])


@pytest.fixture(scope="module")
def step(model: Any, images: Any, labels: Labels, golden: Any, goldens: Path) -> Iterator[dict[str, Any]]:
    """A forward pass in training mode, without dropout, with the labels that published training hides."""
    g = golden("g14_rlip_parsed_training")
    model.train()
    model.zero_grad(set_to_none=True)
    pooled = model.encode_labels(labels).features
    hidden = (pooled.sum(-1) <= 0).expand(2, -1)
    whole = Labels(labels.objects, labels.relations, pooled)
    output = model(images[0], whole, images[1], label_padding=hidden)
    expected = zoo.stored(goldens, "g14_rlip_parsed_training.json")
    done = {"g": g, "expected": expected, "hidden": hidden, "pooled": pooled, "output": output}
    yield done | {"targets": zoo.targets_of(g)}
    model.zero_grad(set_to_none=True)
    model.eval()


@pytest.mark.slow
def test_training_outputs_costs_and_pseudo_labels(step: dict[str, Any]) -> None:
    g, output, targets = step["g"], step["output"], step["targets"]
    assert step["hidden"].T.equal(g["text_attention_mask"])
    zoo.check_outputs(g, output.layers)
    every = concatenate_targets(targets)
    zoo.check_costs(g, matching_costs(output.layers[-1], every))
    assert zoo.matched(Hungarian(), output.layers, targets) == step["expected"][zoo.MATCHED]
    pooled = step["pooled"][OBJECTS:]
    g.check("target_verb_sim", pseudo_labels(every.relations, pooled), 1e-5)
    resized = pseudo_labels(every.relations, output.relation_features)
    g.check("target_verb_sim_v1_repository", resized, 1e-5)


def gradients_of(model: Any, criterion: Criterion, output: Output, targets: Any) -> float:
    """The total after its gradients are in the parameters."""
    model.zero_grad(set_to_none=True)
    total = criterion(output, targets, 7.0)["total"]
    total.backward(retain_graph=True)
    return total.item()


@pytest.mark.slow
def test_pre_training_as_in_rlipv2s_repository(model: Any, state: Any, step: dict[str, Any]) -> None:
    expected, targets = step["expected"], step["targets"]
    pooled = step["pooled"][OBJECTS:]
    output = Output(step["output"].layers, pooled)
    criterion = search_losses(published=True)
    zoo.check_losses(zoo.layer_terms(criterion, output.layers, targets, pooled), expected["losses"])
    assert gradients_of(model, criterion, output, targets) == pytest.approx(expected["total"], rel=1e-5)
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    zoo.check_gradients(model, expected["gradients"], zoo.our_names(state, blueprint))
    for name, relations in {"plain_focal": "focal", "giou_only": "quality"}.items():
        other = search_losses(relations=relations, pseudo=False)
        terms = zoo.layer_terms(other, output.layers[-1:], targets)
        zoo.check_losses(terms, expected["alternative_settings_last_layer"][name])


@pytest.mark.slow
def test_pre_training_as_in_the_authors_repository(model: Any, step: dict[str, Any]) -> None:
    expected, output = step["expected"]["v1_repository"], step["output"]
    criterion = search_losses(published=True)
    terms = zoo.layer_terms(criterion, output.layers, step["targets"], output.relation_features)
    zoo.check_losses(terms, expected["losses"])
    total = gradients_of(model, criterion, output, step["targets"])
    assert total == pytest.approx(expected["total"], rel=1e-5)
    norms = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None])
    assert norms.norm().item() == pytest.approx(expected["gradient_total_norm"], rel=1e-3)


@pytest.mark.slow
def test_fine_tuning_without_subject_classes(model: Any, state: Any, step: dict[str, Any]) -> None:
    expected, output = step["expected"]["fine_tuning_without_subject_class"], step["output"]
    criterion = search_losses(pseudo=False, subject_class=False)
    zoo.check_losses(zoo.layer_terms(criterion, output.layers, step["targets"]), expected["losses"])
    total = gradients_of(model, criterion, output, step["targets"])
    assert total == pytest.approx(expected["total"], rel=1e-5)
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    zoo.check_gradients(model, expected["gradients"], zoo.our_names(state, blueprint))
