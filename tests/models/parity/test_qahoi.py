"""QAHOI against the published code: RLIPv2's repository and the authors' own (goldens g12)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.models.blocks.prediction import Labels, Prediction
from relforge.models.blueprint import Blueprint
from relforge.models.detections import detections_of
from relforge.models.published import load_published
from relforge.models.qahoi.detections import best_classes
from relforge.models.training.assign import Hungarian, matching_costs
from relforge.models.training.search_losses import hard_label_losses
from relforge.models.training.targets import concatenate_targets
from tests.fixtures import zoo_goldens as zoo

NO_LABELS = Labels((), ())
Checkpoint = Callable[..., dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def refined_state(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return checkpoint(
        "g12_qahoi_state_dict.json",
        lambda key: re.sub(r"^transformer\.decoder\.(?=(sub|obj)_bbox)", "", key),
    )


@pytest.fixture(scope="module")
def original_state(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    first = re.compile(r"^((?:verb_)?class_embed|(?:sub_)?bbox_embed)\.\d+\.")
    return checkpoint("g12_qahoi_original_state_dict.json", lambda key: first.sub(r"\1.0.", key))


@pytest.fixture(scope="module")
def refined(refined_state: Any) -> Any:
    return zoo.load(refined_state, lambda blueprint: blueprint.build(None))[0]


def test_files_of_rlipv2s_repository_tell_their_sizes(refined_state: Any, refined: Any) -> None:
    blueprint = zoo.published_blueprint(refined_state)
    assert blueprint is not None
    assert (blueprint.kind, blueprint.backbone) == ("qahoi_rlipv2", "resnet50")
    assert blueprint.sizes == type(blueprint.sizes)()
    assert (len(blueprint.classes), len(blueprint.relations)) == (12, 15)
    assert len(refined_state) == 681 == len(refined.state_dict()) + 2 * 6 * 6  # box heads are stored twice
    assert sum(p.numel() for p in refined.parameters()) == 41_446_300


def test_files_of_the_authors_tell_their_sizes(original_state: Any) -> None:
    blueprint = zoo.published_blueprint(original_state)
    assert blueprint is not None
    assert (blueprint.kind, blueprint.backbone) == ("qahoi", "resnet50")
    assert blueprint.sizes == replace(type(blueprint.sizes)(), pairs=100)
    assert (len(blueprint.classes), len(blueprint.relations)) == (12, 15)
    model = blueprint.build(None)
    load_published(model, original_state, blueprint)
    shared = 2 + 2 + 6 + 6  # tensors of one layer's heads; stored for each of six layers
    assert len(original_state) == 605 == len(model.state_dict()) + 5 * shared


def test_a_swin_with_windows_of_12_is_read_from_its_tables(original_state: Any) -> None:
    swin = {"backbone.0.body.patch_embed.proj.weight": torch.empty(128, 3, 4, 4)}
    for stage, depth in enumerate((2, 2, 18, 2)):
        for block in range(depth):
            key = f"backbone.0.body.layers.{stage}.blocks.{block}.attn.relative_position_bias_table"
            swin[key] = torch.empty(23 * 23, 4 * 2**stage)
    rest = {key: t for key, t in original_state.items() if not key.startswith("backbone.")}
    blueprint = zoo.published_blueprint(rest | swin)
    assert blueprint is not None
    assert blueprint.backbone == {
        "family": "swin",
        "embed_dim": 128,
        "depths": [2, 2, 18, 2],
        "heads": [4, 8, 16, 32],
        "window": 12,
    }


def test_shared_heads_that_differ_between_layers_are_refused(original_state: Any) -> None:
    blueprint = zoo.published_blueprint(original_state)
    assert blueprint is not None
    state = original_state | {"bbox_embed.3.layers.0.bias": torch.ones(256)}
    with pytest.raises(ValueError, match=r"two different copies of bbox_embed\.0\.layers\.0\.bias"):
        load_published(blueprint.build(None), state, blueprint)


@pytest.fixture(scope="module")
def forward(refined: Any, images: Any, record: Any) -> dict[str, Any]:
    parts = {"tokens": refined.pyramid, "points": refined.points}
    parts |= {f"encoder{i}": layer for i, layer in enumerate(refined.encoder.layers)}
    parts |= {f"decoder{i}": layer for i, layer in enumerate(refined.decoder.layers)}
    with torch.no_grad():
        return dict(record(parts, lambda: refined(images[0], NO_LABELS, images[1]).layers))


@pytest.fixture(scope="module")
def g(golden: Any) -> Any:
    return golden("g12_qahoi_inference")


def test_pixels_and_decoder_states(forward: Any, g: Any) -> None:
    zoo.check_pixels(g, forward)
    g.check("hs", torch.stack([forward[f"decoder{i}"] for i in range(6)]), zoo.HIDDEN)


def test_references_boxes_and_logits_of_every_layer(forward: Any, g: Any) -> None:
    g.check("init_ref", torch.stack(forward["points"].sigmoid().split(2, -1)), zoo.BOX)
    layers: list[Prediction] = forward["result"]
    boxes = torch.stack([torch.stack([p.subject_boxes, p.object_boxes]) for p in layers])
    g.check("inter_refs", boxes, zoo.BOX)
    zoo.check_outputs(g, layers)


def test_detections(forward: Any, g: Any) -> None:
    for image, found in enumerate(detections_of(forward["result"][-1])):
        zoo.check_detections(g, "post", found, image)


def with_background(formula: Any) -> dict[str, torch.Tensor]:
    """Object heads of 13 logits."""
    weight, bias = (
        torch.from_numpy(formula.value(f"class_embed.0.{name}", shape))
        for name, shape in (("weight", (13, 256)), ("bias", (13,)))
    )
    return {
        f"class_embed.{k}.{name}": t for k in range(6) for name, t in (("weight", weight), ("bias", bias))
    }


@pytest.mark.slow
def test_a_training_step(refined: Any, refined_state: Any, images: Any, golden: Any, goldens: Path) -> None:
    g, expected = golden("g12_qahoi_training"), zoo.stored(goldens, "g12_qahoi_training.json")
    targets = zoo.targets_of(g)
    refined.train()
    refined.zero_grad(set_to_none=True)

    output = refined(images[0], NO_LABELS, images[1])
    criterion = hard_label_losses()
    losses = criterion(output, targets, 7.0)
    losses["total"].backward()

    zoo.check_outputs(g, output.layers)
    zoo.check_costs(g, matching_costs(output.layers[-1], concatenate_targets(targets)))
    assert zoo.matched(Hungarian(), output.layers, targets) == expected[zoo.MATCHED]
    zoo.check_losses(zoo.layer_terms(criterion, output.layers, targets), expected["losses"])
    assert losses["total"].item() == pytest.approx(expected["total"], rel=1e-5)
    for name, relations in {"giou_verb_label": "quality", "bce": "bce"}.items():
        other = zoo.layer_terms(hard_label_losses(relations=relations), output.layers[-1:], targets)
        zoo.check_losses(other, expected["alternative_settings_last_layer"][name])
    blueprint = zoo.published_blueprint(refined_state)
    assert blueprint is not None
    zoo.check_gradients(refined, expected["gradients"], zoo.our_names(refined_state, blueprint))
    refined.zero_grad(set_to_none=True)
    refined.eval()


@pytest.mark.slow
@pytest.mark.parametrize("objects", ["sigmoid", "softmax"])
def test_the_authors_model_and_its_training_step(
    formula: Any, original_state: Any, images: Any, golden: Any, goldens: Path, objects: str
) -> None:
    g = golden("g12_qahoi_original")
    expected = zoo.stored(goldens, "g12_qahoi_original.json")[f"{objects}_objects"]
    blueprint = zoo.published_blueprint(original_state)
    assert isinstance(blueprint, Blueprint)
    state = original_state
    if objects == "softmax":
        blueprint = replace(blueprint, sizes=replace(blueprint.sizes, objects="softmax"))
        state = original_state | with_background(formula)
    model = blueprint.build(None)
    load_published(model, state, blueprint)
    zoo.without_dropout(model).train()
    targets = zoo.targets_of(golden("g12_qahoi_training"))

    output = model(images[0], NO_LABELS, images[1])
    criterion = hard_label_losses()
    losses = criterion(output, targets, 7.0)
    losses["total"].backward()

    stem = f"{objects}_objects/"
    zoo.check_outputs(g, output.layers, stem)
    stored_classes = replace(output.layers[-1], object_logits=g[f"{stem}pred_obj_logits"])  # near ties
    for image, found in enumerate(best_classes(stored_classes)):
        zoo.check_detections(g, f"{stem}post", found, image)
    ours = zoo.matched(Hungarian(), output.layers, targets)
    assert {key: ours[key] for key in expected[zoo.MATCHED]} == expected[zoo.MATCHED]
    zoo.check_losses(zoo.layer_terms(criterion, output.layers, targets), expected["losses"])
    assert losses["total"].item() == pytest.approx(expected["total"], rel=1e-5)
    zoo.check_gradients(model, expected["gradients"], zoo.our_names(state, blueprint))
