"""The `.pth` files of RLIPv2: what a file was built from, and its weights under our names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import RobertaConfig

from relforge.models.blocks.backbone_keys import convert_backbone
from relforge.models.blueprint import Blueprint
from relforge.models.rlipv2.published_keys import BACKBONE_PREFIX, alias_of, is_unused, our_name
from relforge.models.rlipv2.sizes import Sizes

_BODY = BACKBONE_PREFIX
_TEXT = "transformer.text_encoder."
_WORDS = f"{_TEXT}embeddings.word_embeddings.weight"
_QUERY_TABLES = {
    "rtagger": "transformer.verb_tgt.weight",
    "parseda": "refpoint_embed.weight",
    "parsed": "query_embed.weight",
}
_SWIN_WIDTHS = {96: "swin_tiny", 192: "swin_large"}
_RESNET_DEPTHS = {(3, 4, 6, 3): "resnet50"}
_HEAD_WIDTH = 64  # of RoBERTa and of its layers in the encoder, whatever their width


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a published checkpoint was built from, by its keys and shapes; None if it is of another model.

    Args:
        gate: a key of `GATES`; by default `vector` on ResNet and `scalar` on Swin, as released.

    Raises:
        ValueError: it is of the family, but on a Swin backbone that was never published.
    """
    encoder = next((name for name in ("ho_encoder", "encoder") if _has(state, f"transformer.{name}.")), "")
    stem = f"transformer.{encoder}."
    if _WORDS not in state or not _has(state, f"{stem}VLFuse_layers."):
        return None
    if "transformer.coord_proj.weight" in state:
        kind = "rtagger"
    else:
        kind = "parseda" if "refpoint_embed.weight" in state else "parsed"
    backbone = _backbone_of(state)
    text = _text_encoder_of(state)
    fusion, language = f"{stem}VLFuse_layers.0.b_attn.", f"{stem}roberta_layers.0."
    sizes = Sizes(
        dim=state["transformer.resizer.fc.weight"].shape[0],
        pairs=state[_QUERY_TABLES[kind]].shape[0] // 2,
        encoder_layers=_count(state, f"{stem}layers."),
        fusions=_count(state, f"{stem}VLFuse_layers."),
        decoder_layers=_count(state, "transformer.ho_decoder.layers."),
        feedforward=state[f"{stem}layers.0.linear1.weight"].shape[0],
        levels=state["transformer.level_embed"].shape[0],
        branch_fusion="transformer.verb_tgt_generator.fc_1.0.weight" in state,
        gate=gate or ("scalar" if _is_swin(state) else "vector"),
        fusion_dim=state[f"{fusion}attn.v_proj.weight"].shape[0],
        language_heads=state[_WORDS].shape[1] // _HEAD_WIDTH,
        language_feedforward=state[f"{language}intermediate.dense.weight"].shape[0],
    )
    return Blueprint(kind, sizes, backbone, text.to_diff_dict())


def _backbone_of(state: Mapping[str, Tensor]) -> str | dict[str, Any]:
    if _is_swin(state):
        width = state[f"{_BODY}patch_embed.proj.weight"].shape[0]
        if width not in _SWIN_WIDTHS:
            raise ValueError(f"a Swin backbone of width {width} is neither Swin-T (96) nor Swin-L (192)")
        return _SWIN_WIDTHS[width]
    depths = tuple(_count(state, f"{_BODY}layer{stage}.") for stage in (1, 2, 3, 4))
    widths = [state[f"{_BODY}layer{stage}.0.conv3.weight"].shape[0] for stage in (1, 2, 3, 4)]
    stem = state[f"{_BODY}conv1.weight"].shape[0]
    if depths in _RESNET_DEPTHS and stem == 64:
        return _RESNET_DEPTHS[depths]
    return {"family": "resnet", "embedding_size": stem, "hidden_sizes": widths, "depths": list(depths)}


def _text_encoder_of(state: Mapping[str, Tensor]) -> RobertaConfig:
    vocabulary, width = state[_WORDS].shape
    return RobertaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=_count(state, f"{_TEXT}encoder.layer."),
        num_attention_heads=width // _HEAD_WIDTH,
        intermediate_size=state[f"{_TEXT}encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=state[f"{_TEXT}embeddings.position_embeddings.weight"].shape[0],
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )


def _is_swin(state: Mapping[str, Tensor]) -> bool:
    return f"{_BODY}patch_embed.proj.weight" in state


def _has(state: Mapping[str, Tensor], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in state)


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Layers whose names are the prefix and a number."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names.

    Args:
        state: published name -> tensor.
        blueprint: of the model that is loaded; the numbering of the box heads depends on its decoder layers.

    Returns:
        Our name -> (published name, tensor), and what is wrong: surplus names, and copies of a box head in a
        decoder that are not the one at the top level.
    """
    layers = blueprint.sizes.decoder_layers
    renamed: dict[str, tuple[str, Tensor]] = {}
    problems: list[str] = []
    backbone = {
        key.removeprefix(BACKBONE_PREFIX): value
        for key, value in state.items()
        if key.startswith(BACKBONE_PREFIX)
    }
    converted, origin = convert_backbone(backbone)
    for name, tensor in converted.items():
        renamed[f"backbone.body.{name}"] = (BACKBONE_PREFIX + origin[name], tensor)
    for key, tensor in state.items():
        if key.startswith(BACKBONE_PREFIX) or is_unused(key, blueprint.kind):
            continue
        original = alias_of(key, layers)
        if original is not None:
            if original not in state:
                problems.append(f"missing {original}")
            elif not torch.equal(state[original], tensor):
                problems.append(f"two different copies of {original}")
            continue
        name_here = our_name(key)
        if name_here is None:
            problems.append(f"surplus {key}")
        else:
            renamed[name_here] = (key, tensor)
    return renamed, problems
