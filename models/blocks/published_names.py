"""What the authors' files of the deformable line have in common: names, duplicates, backbone, text encoder.

The files store the box heads twice: once at the top level and once inside each decoder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from typing import Any

import torch
from torch import Tensor
from transformers import RobertaConfig

from relforge.models.blocks.backbone_keys import convert_backbone

Rule = tuple[str, str | Callable[[re.Match[str]], str]]
"""A pattern of published names, and what its match becomes here."""

BACKBONE_PREFIX = "backbone.0.body."

DEFORMABLE_RULES: list[Rule] = [
    (r"^(sub|obj)_bbox_embed\.", lambda m: f"{'subject' if m[1] == 'sub' else 'object'}_boxes.mlps."),
    (r"^input_proj\.", "pyramid.projections."),
    (r"^transformer\.level_embed$", "pyramid.level_embed"),
    (r"^transformer\.(?:ho_)?encoder\.layers\.", "encoder.layers."),
    (r"^transformer\.ho_decoder\.layers\.", "entity_decoder.layers."),
    (r"^transformer\.verb_decoder\.layers\.", "relation_decoder.layers."),
    (r"^transformer\.reference_points_sub\.", "queries.points.subject."),
    (r"^transformer\.reference_points_obj\.", "queries.points.object."),
    (r"^query_embed\.", "queries.table."),
]
"""Pixels, decoders, box heads."""

TEXT_RULES: list[Rule] = [
    (r"^bias_obj_a$", "classifier.entity_bias"),
    (r"^bias_pred_a$", "classifier.relation_bias"),
    (r"^projection_text\.", "classifier.projection."),
    (r"^transformer\.resizer\.", "resizer."),
    (r"^transformer\.text_encoder\.", "text_encoder.model."),
]
"""Texts and their classifier."""

LINEAR_RULES: list[Rule] = [
    (r"^obj_class_embed\.", "classifier.object_heads."),
    (r"^verb_class_embed\.", "classifier.relation_heads."),
]
"""The classifier of closed labels."""

_ALIAS = re.compile(r"^transformer\.(ho_|verb_)?decoder\.(sub|obj)_bbox_embed\.(\d+)\.(.*)$")
_TEXT = "transformer.text_encoder."
_WORDS = f"{_TEXT}embeddings.word_embeddings.weight"
_BUFFER = f"{_TEXT}embeddings.position_ids"
_SWINS = {"swin_tiny": (96, 7, [2, 2, 6, 2]), "swin_large": (192, 7, [2, 2, 18, 2])}
_RESNET_DEPTHS = {(3, 4, 6, 3): "resnet50", (3, 4, 23, 3): "resnet101"}
_HEAD_WIDTH = 64  # of RoBERTa and of its layers in the encoder, whatever their width


def rename_by(rules: Sequence[Rule], key: str) -> str | None:
    """The name by the first rule that covers the key, or None."""
    for pattern, replacement in rules:
        name, count = re.subn(pattern, replacement, key)
        if count:
            return name
    return None


def alias_of(key: str, decoder_layers: int) -> str | None:
    """The top-level name of a box head stored inside a decoder, or None for any other key."""
    match = _ALIAS.match(key)
    if not match:
        return None
    index = int(match[3]) + (decoder_layers if match[1] == "verb_" else 0)
    return f"{match[2]}_bbox_embed.{index}.{match[4]}"


def rename_all(
    state: Mapping[str, Tensor],
    *,
    our_name: Callable[[str], str | None],
    alias_of: Callable[[str], str | None],
    unused: Sequence[str] = (),
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names.

    Args:
        state: published name -> tensor.
        our_name: a published name outside the backbone -> ours.
        alias_of: the name of a tensor that is stored a second time -> the name of the first.
        unused: names that no computation reads, beside the index buffer that older transformers saved.

    Returns:
        Our name -> (published name, tensor), and what is wrong: surplus names, copies that differ.
    """
    renamed: dict[str, tuple[str, Tensor]] = {}
    problems: list[str] = []
    converted, origin = convert_backbone(
        {
            key.removeprefix(BACKBONE_PREFIX): value
            for key, value in state.items()
            if key.startswith(BACKBONE_PREFIX)
        }
    )
    for name, tensor in converted.items():
        renamed[f"backbone.body.{name}"] = (BACKBONE_PREFIX + origin[name], tensor)
    for key, tensor in state.items():
        if key.startswith(BACKBONE_PREFIX) or key == _BUFFER or key in unused:
            continue
        original = alias_of(key)
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


def backbone_of(state: Mapping[str, Tensor]) -> str | dict[str, Any]:
    """The backbone, as `Blueprint` has it."""
    if is_swin(state):
        return _swin_of(state)
    stages = (1, 2, 3, 4)
    depths = tuple(count_layers(state, f"{BACKBONE_PREFIX}layer{stage}.") for stage in stages)
    widths = [state[f"{BACKBONE_PREFIX}layer{stage}.0.conv3.weight"].shape[0] for stage in stages]
    stem = state[f"{BACKBONE_PREFIX}conv1.weight"].shape[0]
    if depths in _RESNET_DEPTHS and stem == 64:
        return _RESNET_DEPTHS[depths]
    return {"family": "resnet", "embedding_size": stem, "hidden_sizes": widths, "depths": list(depths)}


def _swin_of(state: Mapping[str, Tensor]) -> str | dict[str, Any]:
    """A Swin by name where it has windows of 7, else (windows of 12 at 384 pixels) by its numbers."""
    width = len(state[f"{BACKBONE_PREFIX}patch_embed.proj.weight"])
    stages = [f"{BACKBONE_PREFIX}layers.{stage}.blocks." for stage in range(4)]
    tables = [state[f"{stage}0.attn.relative_position_bias_table"] for stage in stages]
    window = (isqrt(len(tables[0])) + 1) // 2  # a table has (2 x window - 1) squared rows
    depths = [count_layers(state, stage) for stage in stages]
    if (width, window, depths) in _SWINS.values():
        return next(name for name, numbers in _SWINS.items() if numbers == (width, window, depths))
    heads = [table.shape[1] for table in tables]
    return {"family": "swin", "embed_dim": width, "depths": depths, "heads": heads, "window": window}


def has_text_encoder(state: Mapping[str, Tensor]) -> bool:
    return _WORDS in state


def text_encoder_of(state: Mapping[str, Tensor]) -> RobertaConfig:
    """The text encoder of a file that has one."""
    vocabulary, width = state[_WORDS].shape
    return RobertaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=count_layers(state, f"{_TEXT}encoder.layer."),
        num_attention_heads=width // _HEAD_WIDTH,
        intermediate_size=state[f"{_TEXT}encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=state[f"{_TEXT}embeddings.position_embeddings.weight"].shape[0],
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )


def is_swin(state: Mapping[str, Tensor]) -> bool:
    return f"{BACKBONE_PREFIX}patch_embed.proj.weight" in state


def has_prefix(state: Mapping[str, Tensor], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in state)


def count_layers(state: Mapping[str, Tensor], prefix: str) -> int:
    """Layers whose names are the prefix and a number."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def deformable_sizes(state: Mapping[str, Tensor], encoder: str, decoder: str) -> dict[str, Any]:
    """The widths and depths that every model of the line has, by the names of its `Sizes`, but the number of
    pairs.

    Args:
        encoder, decoder: prefixes of the two, such as `transformer.ho_encoder`.
    """
    feedforward, dim = state[f"{encoder}.layers.0.linear1.weight"].shape
    return {
        "dim": dim,
        "encoder_layers": count_layers(state, f"{encoder}.layers."),
        "decoder_layers": count_layers(state, f"{decoder}.layers."),
        "feedforward": feedforward,
        "levels": len(state["transformer.level_embed"]),
    }


def unnamed(what: str, count: int) -> tuple[str, ...]:
    """Placeholders for label names, which the authors' files do not hold: `relation 0`, `relation 1`, ..."""
    return tuple(f"{what} {index}" for index in range(count))


def is_unnamed(names: Sequence[str]) -> bool:
    """Whether names are such placeholders."""
    what = names[0].removesuffix(" 0") if names else ""
    return bool(names) and tuple(names) == unnamed(what, len(names))
