"""RLIPv2-ParSeDA fine-tuned on HICO-DET with 128 of its checkpoint's 200 queries (goldens g15)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.models.blocks.backbone import resnet50
from relforge.models.blocks.prediction import Output
from relforge.models.detections import detections_of
from relforge.models.query_tables import cut_queries
from relforge.models.rlipv2.model import RelationModel
from relforge.models.training.assign import Hungarian
from relforge.models.training.search_losses import search_losses
from relforge.models.zoo import family
from tests.fixtures import zoo_goldens as zoo

pytestmark = pytest.mark.slow

OBJECTS = 13
PAIRS = 64


@pytest.fixture(scope="module")
def g(golden: Any) -> Any:
    return golden("g15_parseda_fine_tuning")


@pytest.fixture(scope="module")
def model(published_model: Any, parseda_sizes: Any, roberta: Any) -> RelationModel:
    """The published cut of the model with 100 pairs."""
    sizes = replace(parseda_sizes, pairs=PAIRS)
    built = family("parseda").build(
        sizes, backbone=resnet50(), text_encoder=roberta, classes=(), relations=()
    )
    assert isinstance(built, RelationModel)
    whole = published_model("parseda").state_dict()
    built.load_state_dict(cut_queries(whole, parseda_sizes.pairs, PAIRS, published=True))
    return built.eval()


def test_an_evaluation_pass(model: Any, g: Any, texts: list[str], images: Any) -> None:
    with torch.no_grad():
        memory = model.encode(images[0], model.text_encoder.encode(texts), images[1])
        last = model.decode(memory, OBJECTS, last_only=True)
    zoo.check_outputs(g, last, "eval/")
    for image, found in enumerate(detections_of(last[-1])):
        zoo.check_detections(g, "eval/post", found, image)


def test_a_training_step(
    model: Any, checkpoint: Any, g: Any, goldens: Path, texts: list[str], images: Any
) -> None:
    expected = zoo.stored(goldens, "g15_parseda_fine_tuning.json")
    targets = zoo.targets_of(g)
    model.train()
    model.zero_grad(set_to_none=True)
    pooled = model.text_encoder.encode(texts)
    hidden = (pooled.sum(-1) <= 0).expand(2, -1)  # labels that published training takes for padding
    assert hidden.T.equal(g["text_attention_mask"])

    layers = model.decode(model.encode(images[0], pooled, images[1], hidden), OBJECTS)
    criterion = search_losses(pseudo=False)
    total = criterion(Output(layers), targets, 7.0)["total"]
    total.backward()

    zoo.check_outputs(g, layers)
    assert zoo.matched(Hungarian(), layers, targets) == expected[zoo.MATCHED]
    zoo.check_losses(zoo.layer_terms(criterion, layers, targets), expected["losses"])
    assert total.item() == pytest.approx(expected["total"], rel=1e-5)
    state = checkpoint("g4_parseda_state_dict.json")
    blueprint = zoo.published_blueprint(state)
    assert blueprint is not None
    zoo.check_gradients(model, expected["gradients"], zoo.our_names(state, blueprint))
    for one in targets:
        one.subject_labels = torch.zeros_like(one.subject_labels)
    correct = expected["losses with --use_correct_subject_category_hico (subject label 0)"]
    zoo.check_losses(zoo.layer_terms(criterion, layers, targets), correct)
    model.zero_grad(set_to_none=True)
    model.eval()
