"""Checkpointed activations: the same gradients, fewer tensors kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from relforge.models.blocks.backbone import build_backbone
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import TextEncoder
from relforge.models.training.activation_checkpointing import checkpoint_activations, find_layers
from relforge.models.zoo import family

TEXT = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT |= {"intermediate_size": 64, "max_position_embeddings": 40}
LABELS = Labels(["a", "bb", "no objects"], ["on", "under it"])
BACKBONES = {
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 2, 1]},
    "swin": {"embed_dim": 16, "depths": [1, 1, 2, 1], "heads": [1, 2, 2, 4], "window": 4, "drop_path": 0.2},
}


@pytest.fixture(params=list(BACKBONES))
def model(request: pytest.FixtureRequest) -> nn.Module:
    """A small ParSeDA with dropout everywhere."""
    torch.manual_seed(0)
    entry = family("parseda")
    layers = {"encoder_layers": 2, "decoder_layers": 2, "fusions": 2}
    widths = {"dim": 64, "feedforward": 64, "fusion_dim": 64, "language_feedforward": 64}
    sizes = entry.sizes(**layers, **widths, heads=2, language_heads=2, pairs=6, dropout=0.1)
    text = TextEncoder(
        AutoModel.from_config(AutoConfig.for_model("roberta", **TEXT)),
        lambda label: [0, *(4 + ord(c) % 60 for c in label), 2],
    )
    backbone = build_backbone({"family": request.param, **BACKBONES[request.param]})
    built = entry.build(sizes, backbone=backbone, text_encoder=text, classes=(), relations=())
    return built.train()


def step(model: nn.Module) -> tuple[dict[str, Tensor], int]:
    """Gradients of a step, and how many numbers its graph keeps beside the parameters."""
    model.zero_grad(set_to_none=True)
    parameters = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(images, LABELS)
    last = output.layers[-1]
    (last.relation_logits.square().mean() + last.subject_boxes.sum() + last.object_logits.sum()).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return found, sum(kept.values())


def test_gradients_are_the_same_and_less_is_kept(model: nn.Module) -> None:
    expected, whole = step(model)
    with checkpoint_activations(model):
        found, fewer = step(model)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-5, atol=1e-6), name
    assert fewer < 0.5 * whole


def test_layers_of_every_part_are_found(model: nn.Module) -> None:
    names = {module: name for name, module in model.named_modules()}
    found = [names[layer] for layer in find_layers(model)]
    wanted = "backbone.", "text_encoder", "encoder.layers.1", "encoder.fusions.0", "entity_decoder.layers.1"
    for part in wanted:
        assert any(name.startswith(part) for name in found), part
    assert "encoder.language_layers.0" in found


def test_afterwards_the_model_is_as_before(model: nn.Module) -> None:
    with checkpoint_activations(model):
        pass
    assert not any("forward" in vars(module) or "encode" in vars(module) for module in model.modules())
