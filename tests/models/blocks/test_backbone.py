"""Backbones: their maps, what is frozen, and weights under the names other libraries use."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from relforge.models.blocks.backbone import BACKBONES, Backbone, build_backbone
from relforge.models.blocks.backbone_keys import convert_backbone
from relforge.models.blocks.published_names import BACKBONE_PREFIX, backbone_of

RESNET = {"family": "resnet", "embedding_size": 8, "hidden_sizes": [16, 24, 32, 48], "depths": [1, 2, 1, 1]}
SWIN = {"family": "swin", "embed_dim": 12, "depths": [1, 1, 2, 1], "heads": [1, 2, 3, 4], "window": 4}


@pytest.fixture(params=[RESNET, SWIN], ids=["resnet", "swin"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(request.param).eval()


def test_maps_have_strides_8_16_and_32(backbone: Backbone) -> None:
    maps = backbone(torch.randn(2, 3, 70, 100))
    assert [tuple(m.shape[2:]) for m in maps] == [(9, 13), (5, 7), (3, 4)]
    assert [m.shape[1] for m in maps] == list(backbone.channels)


def test_statistics_of_batch_norms_never_move() -> None:
    backbone = build_backbone(RESNET).train()
    before = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    backbone(torch.randn(2, 3, 64, 64))
    assert before
    assert all(buffer.equal(before[name]) for name, buffer in backbone.named_buffers())
    assert not any("num_batches" in name for name in before)


def test_stem_and_first_stage_of_a_resnet_are_not_trained() -> None:
    backbone = build_backbone(RESNET)
    frozen = {
        name.split(".")[2] + name.split(".")[3]
        for name, p in backbone.named_parameters()
        if not p.requires_grad
    }
    assert all(
        re.search(r"embedder|stages\.0\.", n) for n, p in backbone.named_parameters() if not p.requires_grad
    )
    assert frozen


def test_norms_and_position_tables_of_a_swin_are_not_trained() -> None:
    backbone = build_backbone(SWIN)
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad == ("norm" not in name and "bias_table" not in name), name


def test_smaller_patches_halve_the_strides_and_all_of_a_swin_can_be_trained() -> None:
    backbone = build_backbone(SWIN | {"patch_size": 2, "train_all": True})

    maps = backbone(torch.randn(1, 3, 32, 48))

    assert [tuple(m.shape[2:]) for m in maps] == [(8, 12), (4, 6), (2, 3)]
    assert all(parameter.requires_grad for parameter in backbone.parameters())


def resnet_as_torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under torchvision's names."""
    rules = [
        (r"^embedder\.embedder\.convolution\.", "conv1."),
        (r"^embedder\.embedder\.normalization\.", "bn1."),
        (r"\.shortcut\.convolution\.", ".downsample.0."),
        (r"\.shortcut\.normalization\.", ".downsample.1."),
        (r"\.layer\.(\d)\.convolution\.", lambda m: f".conv{int(m[1]) + 1}."),
        (r"\.layer\.(\d)\.normalization\.", lambda m: f".bn{int(m[1]) + 1}."),
        (r"^encoder\.stages\.(\d)\.layers\.", lambda m: f"layer{int(m[1]) + 1}."),
    ]
    return {_renamed(key, rules): tensor for key, tensor in state.items()}


def swin_as_microsoft(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under the original Swin names, query, key and value in one tensor."""
    rules = [
        (r"^swin\.embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
        (r"^swin\.embeddings\.norm\.", "patch_embed.norm."),
        (r"^hidden_states_norms\.stage(\d)\.", lambda m: f"norm{int(m[1]) - 1}."),
        (r"\.layernorm_before\.", ".norm1."),
        (r"\.layernorm_after\.", ".norm2."),
        (r"\.attention\.o_proj\.", ".attn.proj."),
        (r"\.attention\.relative_position_bias\.", ".attn."),
        (r"\.attention\.", ".attn."),
        (r"^swin\.encoder\.", ""),
    ]
    out = {_renamed(key, rules): tensor for key, tensor in state.items()}
    for key in [k for k in out if ".q_proj." in k]:
        parts = [out.pop(key.replace("q_proj", f"{letter}_proj")) for letter in "qkv"]
        out[key.replace("q_proj", "qkv")] = torch.cat(parts)
    return out


def _renamed(key: str, rules: list) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def same(ours: dict[str, Tensor], converted: dict[str, Tensor]) -> bool:
    return ours.keys() == converted.keys() and all(ours[k].equal(converted[k]) for k in ours)


def test_torchvision_names_convert() -> None:
    state = build_backbone(RESNET).body.state_dict()
    theirs = resnet_as_torchvision(state)
    assert {"conv1.weight", "layer2.1.bn3.running_var", "layer2.0.downsample.0.weight"} <= theirs.keys()
    theirs |= {"bn1.num_batches_tracked": torch.zeros(()), "fc.weight": torch.zeros(10, 48)}
    assert same(state, convert_backbone(theirs)[0])


def test_original_swin_names_convert() -> None:
    state = build_backbone(SWIN).body.state_dict()
    theirs = swin_as_microsoft(state)
    assert {"layers.2.blocks.1.attn.qkv.weight", "layers.0.downsample.reduction.weight"} <= theirs.keys()
    theirs |= {"layers.0.blocks.0.attn.relative_position_index": torch.zeros(16, 16)}
    assert same(state, convert_backbone(theirs)[0])


def test_timm_names_convert_though_its_stages_begin_with_the_reduction() -> None:
    state = build_backbone(SWIN).body.state_dict()
    theirs = {
        re.sub(r"^layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) + 1}.downsample", key): tensor
        for key, tensor in swin_as_microsoft(state).items()
    }
    assert "layers.0.downsample.reduction.weight" not in theirs
    theirs |= {"head.fc.weight": torch.zeros(10, 96)}
    assert same(state, convert_backbone(theirs)[0])


def test_published_sizes() -> None:
    with torch.device("meta"):
        channels = {name: builder().channels for name, builder in BACKBONES.items()}
    assert channels == {
        "resnet50": (512, 1024, 2048),
        "resnet101": (512, 1024, 2048),
        "swin_tiny": (192, 384, 768),
        "swin_large": (384, 768, 1536),
    }


@pytest.mark.parametrize("spec", ["resnet51", {"family": "vgg"}])
def test_an_unknown_backbone_is_named(spec: object) -> None:
    with pytest.raises(ValueError, match="unknown backbone"):
        build_backbone(spec)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "third"), [("resnet50", 6), ("resnet101", 23)])
def test_a_published_resnet_is_known_by_its_depth(name: str, third: int) -> None:
    state = {f"{BACKBONE_PREFIX}conv1.weight": torch.empty(64, 3, 7, 7)}
    for stage, (depth, width) in enumerate(((3, 256), (4, 512), (third, 1024), (3, 2048)), 1):
        for block in range(depth):
            state[f"{BACKBONE_PREFIX}layer{stage}.{block}.conv3.weight"] = torch.empty(
                width, width // 4, 1, 1
            )
    assert backbone_of(state) == name
    with torch.device("meta"):
        built = build_backbone(name)
    assert len(built.body.encoder.stages[2].layers) == third
