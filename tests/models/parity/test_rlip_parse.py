"""RLIP-ParSe against the published code (goldens g11)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relforge.evaluation.pair_nms import PairNms
from relforge.models.blocks.backbone import resnet50
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.detections import Detections, detections_of
from relforge.models.training.assign import matching_costs
from relforge.models.training.relation_labels import pseudo_labels
from relforge.models.training.search_losses import search_losses
from relforge.models.training.targets import concatenate_targets
from relforge.models.zoo import family
from tests.fixtures import detr_goldens as detr
from tests.fixtures import zoo_goldens as zoo

LISTING = "g11_rlip_parse_state_dict.json"


@pytest.fixture(scope="module")
def state(goldens: Path) -> dict[str, Tensor]:
    return detr.formula_state(goldens, LISTING)


@pytest.fixture(scope="module")
def model(state: Any, roberta: Any) -> Any:
    def build(blueprint: Any) -> Any:
        return family(blueprint.kind).build(
            blueprint.sizes, backbone=resnet50(), text_encoder=roberta, classes=(), relations=()
        )

    return zoo.load(state, build)[0]


@pytest.fixture(scope="module")
def names(state: Any) -> dict[str, str]:
    """Published name -> ours."""
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    return zoo.our_names(state, blueprint)


@pytest.fixture(scope="module")
def hico(goldens: Path) -> Labels:
    """The 80 objects and 117 verbs of HICO-DET."""
    stored = json.loads((goldens / "g15_hico_indices.json").read_text())
    return Labels([*stored["object_names"], NO_OBJECTS], stored["verb_prompts"])


@pytest.fixture(scope="module")
def g(golden: Any) -> Any:
    return golden("g11_rlip_parse_inference")


@pytest.fixture(scope="module")
def forward(model: Any, images: Any, hico: Labels, record: Any) -> Any:
    parts = detr.seams(model) | {"resized": model.resizer, "text_encoder": model.text_encoder}
    parts |= {"entities": model.pairs.decoder, "relations": model.relations.decoder}
    with torch.no_grad():
        return record(parts, lambda: model(images[0], hico, images[1]).layers)


def test_a_published_file_tells_its_sizes(state: Any, model: Any) -> None:
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    assert (blueprint.kind, blueprint.backbone) == ("rlip_parse", "resnet50")
    assert blueprint.sizes == type(blueprint.sizes)()
    assert len(model.state_dict()) == 671
    assert sum(p.numel() for p in model.parameters()) == 166_569_160


def test_texts_go_through_the_encoder_with_the_pixels(forward: Any, g: Any, model: Any, hico: Labels) -> None:
    ids, _ = model.text_encoder.token_ids([*hico.objects, *hico.relations])
    assert ids.equal(g["input_ids"].long())
    g.check("text_pooled", forward["text_encoder"], 1e-5)
    g.check("text_resized", forward["resized"], detr.HIDDEN)
    detr.check_pixels(g, forward)
    texts = torch.stack([state[:, -198:] for state in forward["encoder"]])
    detr.check_sequence(g, "text_memory_layers_seq_first", texts)


def test_entities_and_relations(forward: Any, g: Any) -> None:
    detr.check_sequence(g, "ho_seq_first", torch.stack(forward["entities"]))
    detr.check_sequence(g, "verb_seq_first", torch.stack(forward["relations"]))


def test_boxes_and_logits_of_every_layer(forward: Any, g: Any) -> None:
    detr.check_outputs(g, forward["result"])


def test_detections_and_those_of_one_subject(forward: Any, g: Any, goldens: Path) -> None:
    valid, subject = detr.valid_interactions(goldens), int(g["zero_shot_subject_category"])
    for image, found in enumerate(detections_of(forward["result"][-1])):
        assert found.subject_classes is not None
        assert found.subject_classes.equal(g["subject_argmax"][image].long())
        kept = of_subject(found, subject)
        for stem, one in (("hoi", found), ("zs", kept)):
            detr.check_detections(g, f"post_{stem}", one, image)
            detr.check_best(g, f"top100_nms_{stem}", one, image, valid, PairNms())


def of_subject(found: Detections, subject: int) -> Detections:
    """The queries that the zero-shot evaluation keeps."""
    rows = found.subject_classes == subject
    return Detections(*(getattr(found, field.name)[rows] for field in fields(found)))


def hidden(model: Any, labels: Labels) -> tuple[Labels, Tensor]:
    """The labels with their vectors, and the mask of those that published training hides, for two images."""
    with_features = model.encode_labels(labels)
    return with_features, (with_features.features.sum(-1) <= 0).expand(2, -1)


@pytest.fixture
def fewer_queries(model: Any) -> Iterator[None]:
    """The model with 64 pairs; the fixtures' table is the beginning of that of 100."""
    table = model.pairs.queries.weight
    model.pairs.queries.weight = nn.Parameter(table.detach()[:128].clone())
    yield
    model.pairs.queries.weight = table


@pytest.mark.slow
@pytest.mark.usefixtures("fewer_queries")
def test_fine_tuning(model: Any, names: Any, images: Any, hico: Labels, golden: Any, goldens: Path) -> None:
    g, case = golden("g11_rlip_parse_finetune"), zoo.stored(goldens, "g11_rlip_parse_finetune.json")
    labels, mask = hidden(model.train(), hico)
    assert mask.equal(g["text_attention_mask"])
    output = model(images[0], labels, images[1], label_padding=mask)
    output = replace(output, layers=[replace(layer, subject_logits=None) for layer in output.layers])
    detr.check_outputs(g, output.layers[-1:])
    criterion, targets = search_losses(pseudo=False, subject_class=False), detr.targets_of(g)
    detr.check_costs(g, matching_costs(output.layers[-1], concatenate_targets(targets)))
    detr.check_case(model, output, criterion, targets, case)
    detr.check_gradients(model, case, names)


@pytest.mark.slow
def test_pre_training_as_in_both_repositories(
    model: Any, names: Any, images: Any, golden: Any, goldens: Path, monkeypatch: Any
) -> None:
    g, criterion = golden("g11_rlip_parse_pretrain"), search_losses(published=True)
    targets = detr.targets_of(g)
    every = concatenate_targets(targets)
    for file, compared in (("pretrain", "resized"), ("pretrain_v2rpl", "pooled")):
        case = zoo.stored(goldens, f"g11_rlip_parse_{file}.json")
        monkeypatch.setattr(model, "compared", compared)
        texts = Labels(case["lse"]["merged_objects"], case["lse"]["merged_relations"])
        labels, mask = hidden(model.train(), texts)
        assert mask.equal(g["text_attention_mask"])
        output = model(images[0], labels, images[1], label_padding=mask)
        detr.check_outputs(g, output.layers[-1:])
        detr.check_costs(g, matching_costs(output.layers[-1], every))
        similar = pseudo_labels(every.relations, output.relation_features)
        golden(f"g11_rlip_parse_{file}").check("target_verb_sim", similar, 1e-5)
        detr.check_case(model, output, criterion, targets, case)
        detr.check_gradients(model, case, names)
