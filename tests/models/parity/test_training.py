"""One training step against the published code: outputs, losses and gradients (goldens g3 and g4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from relforge.models.blocks.prediction import Output, Prediction
from relforge.models.rlipv2.denoising import Noise, denoising_pairs
from relforge.models.rlipv2.family import tagger_losses
from relforge.models.rlipv2.model import RelationModel
from relforge.models.rlipv2.published_keys import BACKBONE_PREFIX, alias_of, our_name
from relforge.models.training.assign import Hungarian, matching_costs
from relforge.models.training.relation_labels import pseudo_labels
from relforge.models.training.search_losses import search_losses
from relforge.models.training.targets import concatenate_targets
from tests.fixtures.zoo_goldens import FIELDS, MATCHED, TERMS, check_costs, matched, targets_of

pytestmark = pytest.mark.slow

OBJECTS = 13
FILES = {"rtagger": "g3_tagger_training", "parsed": "g4_parsed_training", "parseda": "g4_parseda_training"}
SUFFIX = {0: "_0", 1: "_1", 2: ""}


def published_label_padding(features: Tensor) -> Tensor:
    """Labels (..., T) that the published *training* takes for padding: those whose vector (..., T, width)
    sums to zero or less. Meant to find zero rows, it hides a part of the real labels."""
    return features.sum(-1) <= 0


class Step:
    """What one training step computed, and what it should have."""

    def __init__(self, kind: str, g: Any, expected: dict[str, Any]) -> None:
        self.kind, self.golden, self.expected = kind, g, expected
        self.targets = targets_of(g)
        self.pairs = float(sum(len(t) for t in self.targets))
        self.label_padding: Tensor
        self.pseudo: Tensor | None = None
        self.outputs: list[Prediction]
        self.losses: list[dict[str, Tensor]]
        self.total: Tensor
        self.gradients: dict[str, Tensor | None]

    def run(self, model: RelationModel, texts: list[str], images: tuple[Tensor, Tensor]) -> Step:
        model.train()
        model.zero_grad(set_to_none=True)
        pooled = model.text_encoder.encode(texts)
        self.label_padding = published_label_padding(pooled).expand(2, -1)
        memory = model.encode(images[0], pooled, images[1], self.label_padding)
        if self.kind == "rtagger":
            noise = Noise(label=0.5, box=0.6, published_flips=True, published_mask=True)
            given = denoising_pairs(
                self.targets,
                noise,
                width=100,
                object_labels=OBJECTS,
                heads=8,
                generator=torch.Generator().manual_seed(20),
            )
            criterion = tagger_losses()
        else:
            given = None
            self.pseudo = pseudo_labels(concatenate_targets(self.targets).relations, pooled[OBJECTS:])
            criterion = search_losses(published=True)
        output = Output(model.decode(memory, OBJECTS, given), pooled[OBJECTS:])
        self.outputs = output.layers
        self.losses = [
            criterion.layer_terms(layer, self.targets, self.pairs, output.relation_features)
            for layer in self.outputs
        ]
        self.total = criterion(output, self.targets, self.pairs)["total"]
        self.total.backward()
        self.gradients = {name: p.grad for name, p in model.named_parameters()}
        model.zero_grad(set_to_none=True)
        model.eval()
        return self


@pytest.fixture(scope="module")
def step(
    golden: Any, goldens: Path, published_model: Any, texts: list[str], images: Any
) -> Callable[[str], Step]:
    """`step("parsed")`: one training step of that model, computed once."""
    done: dict[str, Step] = {}

    def run(kind: str) -> Step:
        if kind not in done:
            expected = json.loads((goldens / f"{FILES[kind]}.json").read_text())
            done[kind] = Step(kind, golden(FILES[kind]), expected).run(published_model(kind), texts, images)
        return done[kind]

    return run


@pytest.fixture(params=list(FILES))
def each(request: pytest.FixtureRequest, step: Any) -> Step:
    """The step of each family member."""
    return step(request.param)


@pytest.fixture(params=["parsed", "parseda"])
def searching(request: pytest.FixtureRequest, step: Any) -> Step:
    """The step of the members that search for pairs."""
    return step(request.param)


def test_labels_taken_for_padding(each: Step) -> None:
    stored = each.golden["text_attention_mask"]  # text x image; True = padding
    assert each.label_padding.T.equal(stored)


def test_outputs_of_every_layer(each: Step) -> None:
    keep = 5 if each.kind == "rtagger" else 100
    for layer, prefix in ((2, ""), (0, "aux0_"), (1, "aux1_")):
        for stored, field in FIELDS.items():
            ours = getattr(each.outputs[layer], field)[:, :keep]
            each.golden.check(f"{prefix}pred_{stored}", ours, 5e-6 if "boxes" in stored else 1e-4)


def test_every_loss_term_and_the_total(each: Step) -> None:
    for layer, losses in enumerate(each.losses):
        for stored, field in TERMS.items():
            expected = each.expected["losses"][stored + SUFFIX[layer]]
            assert losses[field].item() == pytest.approx(expected, rel=1e-5), (layer, stored)
    assert each.total.item() == pytest.approx(each.expected["total"], rel=1e-5)


def renamed(key: str) -> str:
    """Our name of a published parameter."""
    if key.startswith(BACKBONE_PREFIX):
        conversions = {
            "layer4.2.conv3.weight": "encoder.stages.3.layers.2.layer.2.convolution.weight",
            "layer2.0.conv1.weight": "encoder.stages.1.layers.0.layer.0.convolution.weight",
        }
        return f"backbone.body.{conversions[key.removeprefix(BACKBONE_PREFIX)]}"
    return str(our_name(key))


def test_gradients(each: Step) -> None:
    for key, stored in each.expected["gradients"]["params"].items():
        ours = each.gradients.get(renamed(key))
        if stored is None:
            assert ours is None, key
            continue
        norm, total, first = stored
        assert ours is not None, key
        assert float(ours.norm()) == pytest.approx(norm, rel=1e-3), key
        # a sum over n entries moves by up to sqrt(n) times what the norm moves by
        noise = 2e-4 * norm * ours.numel() ** 0.5
        assert float(ours.double().sum()) == pytest.approx(total, abs=noise), key
        torch.testing.assert_close(
            ours.flatten()[:4], torch.tensor(first), rtol=1e-3, atol=1e-3 * norm / ours.numel() ** 0.5
        )


def test_total_gradient_norm_and_parameters_without_gradient(each: Step) -> None:
    norms = torch.stack([g.norm() for g in each.gradients.values() if g is not None])
    assert float(norms.norm()) == pytest.approx(each.expected["gradients"]["total_norm"], rel=1e-3)
    outside = [k for k in each.expected["gradients"]["none_grad"] if not k.startswith("backbone.")]
    expected = {our_name(k) for k in outside if alias_of(k, 3) is None} - {"queries.table.weight"}
    without = {name for name, g in each.gradients.items() if g is None and not name.startswith("backbone.")}
    assert without == expected


def test_pseudo_labels(searching: Step) -> None:
    assert searching.pseudo is not None
    searching.golden.check("target_verb_sim", searching.pseudo, 1e-5)


def test_matching_costs_of_the_last_layer(searching: Step) -> None:
    costs = matching_costs(searching.outputs[-1], concatenate_targets(searching.targets))
    assert "cost_sub_class" in searching.golden
    check_costs(searching.golden, costs)


def test_assignment_of_every_layer(searching: Step) -> None:
    assert matched(Hungarian(), searching.outputs, searching.targets) == searching.expected[MATCHED]


SETTINGS = {"plain_focal": "focal", "giou_only": "quality", "naive_smooth_0.1": "smooth", "bce": "bce"}


@pytest.mark.parametrize("setting", SETTINGS)
def test_label_and_relation_losses_under_other_settings(searching: Step, setting: str) -> None:
    criterion = search_losses(relations=SETTINGS[setting], pseudo=False)
    losses = criterion.layer_terms(searching.outputs[-1], searching.targets, searching.pairs)
    expected = searching.expected["alternative_settings_last_layer"][setting]
    assert losses["relations"].item() == pytest.approx(expected["loss_verb_ce"], rel=1e-5)
    assert losses["labels"].item() == pytest.approx(expected["loss_obj_ce"], rel=1e-5)
