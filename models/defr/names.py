"""Names of vision transformers elsewhere, as ours: timm, OpenAI's CLIP, transformers' CLIP and BLIP."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from relforge.models.blocks.published_names import Rule, rename_by

TIMM_RULES: list[Rule] = [
    (r"^cls_token$", "cls_token"),
    (r"^pos_embed$", "positions"),
    (r"^patch_embed\.proj\.", "patches."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"blocks.\1.attention.qkv."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"blocks.\1.attention.out."),
    (r"^blocks\.(\d+)\.mlp\.", r"blocks.\1."),
    (r"^blocks\.", "blocks."),
    (r"^norm\.", "norm."),
]
OPENAI_RULES: list[Rule] = [
    (r"^class_embedding$", "cls_token"),
    (r"^positional_embedding$", "positions"),
    (r"^conv1\.", "patches."),
    (r"^ln_pre\.", "norm_before."),
    (r"^transformer\.resblocks\.(\d+)\.attn\.in_proj_", r"blocks.\1.attention.qkv."),
    (r"^transformer\.resblocks\.(\d+)\.attn\.out_proj\.", r"blocks.\1.attention.out."),
    (r"^transformer\.resblocks\.(\d+)\.ln_", r"blocks.\1.norm"),
    (r"^transformer\.resblocks\.(\d+)\.mlp\.c_fc\.", r"blocks.\1.fc1."),
    (r"^transformer\.resblocks\.(\d+)\.mlp\.c_proj\.", r"blocks.\1.fc2."),
    (r"^ln_post\.", "norm."),
    (r"^proj$", "projection.weight"),
]
TRANSFORMERS_RULES: list[Rule] = [
    (r"^vision_model\.embeddings\.class_embedding$", "cls_token"),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "positions"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "patches."),
    (r"^vision_model\.pre_layrnorm\.", "norm_before."),
    (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"blocks.\1.attention.out."),
    (r"^vision_model\.encoder\.layers\.(\d+)\.layer_norm", r"blocks.\1.norm"),
    (r"^vision_model\.encoder\.layers\.(\d+)\.mlp\.", r"blocks.\1."),
    (r"^vision_model\.post_layernorm\.", "norm."),
    (r"^blocks\.(\d+)\.attention\.qkv\.", r"blocks.\1.attention.qkv."),
    (r"^visual_projection\.weight$", "projection.weight"),
]
BLIP_RULES: list[Rule] = [
    (r"^embeddings\.class_embedding$", "cls_token"),
    (r"^embeddings\.position_embedding$", "positions"),
    (r"^embeddings\.patch_embedding\.", "patches."),
    (r"^encoder\.layers\.(\d+)\.self_attn\.qkv\.", r"blocks.\1.attention.qkv."),
    (r"^encoder\.layers\.(\d+)\.self_attn\.projection\.", r"blocks.\1.attention.out."),
    (r"^encoder\.layers\.(\d+)\.layer_norm", r"blocks.\1.norm"),
    (r"^encoder\.layers\.(\d+)\.mlp\.", r"blocks.\1."),
    (r"^post_layernorm\.", "norm."),
]
OTHER_PARTS = re.compile(
    r"^(head|head_dist|pre_logits|fc_norm)\.|"  # timm's classifier
    r"^(text_model|text_projection|token_embedding|positional_embedding$|transformer\.resblocks|ln_final)|"
    r"(^|\.)(logit_scale|position_ids|input_resolution|context_length|vocab_size)$"
)
"""Entries of whole files that belong to a classifier or to CLIP's text tower."""

_BLIP = "vision_model.encoder.layers.0.self_attn.qkv.weight"
_HEADS = re.compile(r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)$")


def convert_vit(state: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """A vision transformer's weights under our names, in float32.

    Args:
        state: a whole file: name -> tensor.

    Returns:
        Its style, `imagenet` or `clip`, and name -> tensor; `projection.weight` of CLIP is D_out x D.

    Raises:
        ValueError: it is none of these, or has a name that none of them has.
    """
    if "pos_embed" in state and "cls_token" in state:
        style, rules, own = "imagenet", TIMM_RULES, dict(state)
    elif any(key.startswith("visual.transformer.") for key in state):
        style, rules = "clip", OPENAI_RULES
        own = {key.removeprefix("visual."): v for key, v in state.items() if key.startswith("visual.")}
        if "proj" in own:  # stored the other way round
            own["proj"] = own["proj"].T
    elif "vision_model.embeddings.class_embedding" in state and _BLIP in state:
        style, rules = "imagenet", BLIP_RULES  # a plain vision transformer under other names
        tower = "vision_model."
        own = {key.removeprefix(tower): v for key, v in state.items() if key.startswith(tower)}
    elif any(key.startswith("vision_model.") for key in state):
        style, rules, own = "clip", TRANSFORMERS_RULES, _join_heads(state)
    else:
        raise ValueError(
            "the weights are no vision transformer of timm (pos_embed), OpenAI (visual.) or "
            "transformers' CLIP or BLIP (vision_model.)"
        )
    renamed: dict[str, Tensor] = {}
    for key, tensor in own.items():
        name = rename_by(rules, key)
        if name is None:
            if OTHER_PARTS.search(key):
                continue
            raise ValueError(f"the weights have {key}, which no vision transformer of this layout has")
        renamed[name] = as_ours(name, tensor)
    return style, renamed


def as_ours(name: str, tensor: Tensor) -> Tensor:
    """A tensor in float32, tables of tokens with a first dimension of 1 as timm has them."""
    tensor = tensor.float()
    if name.endswith("cls_token"):
        return tensor.reshape(1, 1, -1)
    return tensor[None] if name.endswith("positions") and tensor.ndim == 2 else tensor


def _join_heads(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """transformers' three matrices of an attention as one, under our name."""
    out, parts = {}, {}
    for key, tensor in state.items():
        if match := _HEADS.match(key):
            parts[match[1], match[3], match[2]] = tensor
        else:
            out[key] = tensor
    joined = {(layer, what) for layer, what, _ in parts}
    for layer, what in sorted(joined):
        out[f"blocks.{layer}.attention.qkv.{what}"] = torch.cat([parts[layer, what, one] for one in "qkv"])
    return out
