"""Backbone weights under torchvision's and timm's names, renamed for transformers' networks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_RESNET = [
    (r"^conv1\.", "embedder.embedder.convolution."),
    (r"^bn1\.", "embedder.embedder.normalization."),
    (r"^layer(\d+)\.(\d+)\.conv(\d)\.", lambda m: f"{_block(m)}.layer.{int(m[3]) - 1}.convolution."),
    (r"^layer(\d+)\.(\d+)\.bn(\d)\.", lambda m: f"{_block(m)}.layer.{int(m[3]) - 1}.normalization."),
    (r"^layer(\d+)\.(\d+)\.downsample\.0\.", lambda m: f"{_block(m)}.shortcut.convolution."),
    (r"^layer(\d+)\.(\d+)\.downsample\.1\.", lambda m: f"{_block(m)}.shortcut.normalization."),
]

_SWIN = [
    (r"^patch_embed\.proj\.", "swin.embeddings.patch_embeddings.projection."),
    (r"^patch_embed\.norm\.", "swin.embeddings.norm."),
    (r"^norm(\d)\.", lambda m: f"hidden_states_norms.stage{int(m[1]) + 1}."),
    (r"^layers\.(\d+)\.(.*)norm1\.", r"swin.encoder.layers.\1.\2layernorm_before."),
    (r"^layers\.(\d+)\.(.*)norm2\.", r"swin.encoder.layers.\1.\2layernorm_after."),
    (r"^layers\.(\d+)\.(.*)attn\.proj\.", r"swin.encoder.layers.\1.\2attention.o_proj."),
    (r"^layers\.(\d+)\.(.*)attn\.relative_position_bias_table", r"swin.encoder.layers.\1.\2" + (
        "attention.relative_position_bias.relative_position_bias_table"
    )),
    (r"^layers\.", "swin.encoder.layers."),
]  # fmt: skip

_QKV = re.compile(r"^layers\.(\d+)\.blocks\.(\d+)\.attn\.qkv\.(weight|bias)$")
_RECOMPUTED = re.compile(r"(num_batches_tracked|relative_position_index|attn_mask)$")
_HEAD = re.compile(r"^(fc|head)\.|^norm\.(weight|bias)$")


def _block(match: re.Match[str]) -> str:
    return f"encoder.stages.{int(match[1]) - 1}.layers.{match[2]}"


def is_swin(state: Mapping[str, Tensor]) -> bool:
    """Whether a backbone's weights are a Swin transformer's (else: a ResNet's)."""
    return any(key.startswith("patch_embed.") for key in state)


def convert_backbone(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Rename torchvision ResNet or Swin (Microsoft's or timm's) weights for `Backbone.body`.

    Counters, index tables and the classifier are left out: the networks here have none. timm (0.9 and
    later) keeps a down-sampling at the head of the stage it leads to; it is moved to the tail of the stage
    before, which the first block of such a file shows.

    Args:
        state: name -> tensor, without prefix.

    Returns:
        Converted weights, and for each of their names the name it came from.
    """
    swin = is_swin(state)
    rules = _SWIN if swin else _RESNET
    at_head = swin and "layers.0.downsample.reduction.weight" not in state
    weights: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for key, tensor in state.items():
        if _RECOMPUTED.search(key) or _HEAD.search(key):
            continue
        if split := _QKV.match(key):
            stem = f"swin.encoder.layers.{split[1]}.blocks.{split[2]}.attention"
            for letter, part in zip("qkv", tensor.chunk(3, 0), strict=True):
                name = f"{stem}.{letter}_proj.{split[3]}"
                weights[name], origin[name] = part.clone(), key
            continue
        name = key
        if at_head and (moved := re.match(r"^layers\.(\d+)\.downsample\.(.*)$", key)):
            name = f"layers.{int(moved[1]) - 1}.downsample.{moved[2]}"
        for pattern, replacement in rules:
            name, count = re.subn(pattern, replacement, name)  # type: ignore[call-overload]
            if count:
                break
        weights[name], origin[name] = tensor, key
    return weights, origin
