"""Detectors of transformers give the same logits and boxes once they are converted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    DeformableDetrConfig,
    DeformableDetrForObjectDetection,
    DetrConfig,
    DetrForObjectDetection,
    PreTrainedModel,
    ResNetConfig,
)

from relforge.models.blocks.box_prediction import BoxOutput
from relforge.models.published import load_pretrained
from relforge.models.training.box_criterion import BoxCriterion
from relforge.models.training.box_targets import BoxTargets

RESNET = ResNetConfig(
    embedding_size=8,
    hidden_sizes=[8, 16, 16, 32],
    depths=[1, 1, 1, 1],
    layer_type="bottleneck",
    out_features=["stage2", "stage3", "stage4"],
)
SHAPE: dict[str, Any] = {
    "use_timm_backbone": False,
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "num_queries": 7,
    "dropout": 0.0,
    "id2label": {0: "N/A", 1: "person", 2: "dog", 3: "N/A", 4: "kite"},
    "disable_custom_kernels": True,
}


def build(kind: str) -> PreTrainedModel:
    """A random model; no two tensors are equal, as after training."""
    torch.manual_seed(0)
    if kind == "detr":
        model: PreTrainedModel = DetrForObjectDetection(DetrConfig(**SHAPE, backbone_config=RESNET))
    else:
        config = DeformableDetrConfig(**SHAPE, backbone_config=RESNET, with_box_refine=kind == "refined")
        model = DeformableDetrForObjectDetection(config)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.rand_like(tensor) * 0.2 + (0.9 if name.endswith("running_var") else -0.1)
    return model.eval()


@pytest.mark.parametrize("kind", ["detr", "plain", "refined"])
@torch.inference_mode()
def test_outputs_are_equal_with_and_without_padding(tmp_path: Path, kind: str) -> None:
    theirs = build(kind)
    theirs.save_pretrained(tmp_path)
    ours = load_pretrained(str(tmp_path))
    assert ours.blueprint.classes == ("unused 0", "person", "dog", "unused 3", "kite")

    images = torch.randn(2, 3, 96, 128)
    padding = torch.zeros(2, 96, 128, dtype=torch.bool)
    padding[1, 64:], padding[1, :, 96:] = True, True
    for mask in (None, padding):
        expected = theirs(images, pixel_mask=None if mask is None else (~mask).long())
        last = ours.model(images, None, mask).layers[-1]
        torch.testing.assert_close(last.logits, expected.logits, atol=1e-5, rtol=0)
        torch.testing.assert_close(last.boxes, expected.pred_boxes, atol=1e-5, rtol=0)


def test_the_older_spelling_of_names_is_read(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    build("detr").save_pretrained(tmp_path)
    before = load_pretrained(str(tmp_path)).model.state_dict()
    state = load_file(tmp_path / "model.safetensors")
    old = {
        key.replace(".o_proj.", ".out_proj.")
        .replace(".mlp.fc", ".fc")
        .replace("model.backbone.model.", "model.backbone.conv_encoder.model."): tensor
        for key, tensor in state.items()
    }
    save_file(old, tmp_path / "model.safetensors")
    after = load_pretrained(str(tmp_path)).model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"two_stage": True}, "two_stage is True; only False can be converted"),
        ({"position_embedding_type": "learned"}, "position_embedding_type is 'learned'"),
        ({"backbone_config": {"model_type": "swin"}, "backbone": "convnext"}, "backbone is 'convnext'"),
    ],
)
def test_other_variants_are_refused_by_field(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    build("plain").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=sentence):
        load_pretrained(str(tmp_path))


def test_a_missing_weight_is_listed(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    build("detr").save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state["model.decoder.layers.1.self_attn.q_proj.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"decoder\.layers\.1\.self_attn"):
        load_pretrained(str(tmp_path))


@pytest.mark.parametrize("kind", ["detr", "plain", "refined"])
def test_losses_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    theirs = build(kind)
    # transformers' DETR passes normed states on where it supervises all layers: there the last one alone
    theirs.config.auxiliary_loss = kind != "detr"
    theirs.save_pretrained(tmp_path)
    ours = load_pretrained(str(tmp_path)).model
    images = torch.randn(2, 3, 96, 128)
    targets = [
        BoxTargets(torch.rand(count, 4) * 0.3 + 0.3, torch.arange(count) % 5) for count in (3, 1)
    ]  # more than one image, of different numbers
    labels = [{"class_labels": one.labels, "boxes": one.boxes} for one in targets]

    expected = theirs(images, labels=labels)
    criterion = BoxCriterion({"labels": 1.0})  # transformers' weight, in matching too
    layers = ours(images, None).layers
    terms = criterion(BoxOutput(layers[-1:] if kind == "detr" else layers), targets, 4.0)

    assert float(terms["total"].detach()) == pytest.approx(float(expected.loss), rel=1e-5)
    for name, other in (("labels", "loss_ce"), ("boxes", "loss_bbox"), ("giou", "loss_giou")):
        assert float(terms[name].detach()) == pytest.approx(float(expected.loss_dict[other]), rel=1e-4)
