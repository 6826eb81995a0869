"""The `.pth` files of RLIPv2: what a file was built from, and its weights under our names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from relforge.models.blocks.published_names import (
    alias_of,
    backbone_of,
    count_layers,
    deformable_sizes,
    has_prefix,
    has_text_encoder,
    is_swin,
    rename_all,
    text_encoder_of,
)
from relforge.models.blueprint import Blueprint
from relforge.models.rlipv2.published_keys import our_name, unused_names
from relforge.models.rlipv2.sizes import Sizes

_QUERY_TABLES = {
    "rtagger": "transformer.verb_tgt.weight",
    "parseda": "refpoint_embed.weight",
    "parsed": "query_embed.weight",
}


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a published checkpoint was built from, by its keys and shapes; None if it is of another model.

    Args:
        gate: a key of `GATES`; by default `vector` on ResNet and `scalar` on Swin, as released.
    """
    encoder = next(
        (name for name in ("ho_encoder", "encoder") if has_prefix(state, f"transformer.{name}.")), ""
    )
    stem = f"transformer.{encoder}."
    if not has_text_encoder(state) or not has_prefix(state, f"{stem}VLFuse_layers."):
        return None
    if "transformer.coord_proj.weight" in state:
        kind = "rtagger"
    else:
        kind = "parseda" if "refpoint_embed.weight" in state else "parsed"
    backbone = backbone_of(state)
    text = text_encoder_of(state)
    fusion, language = f"{stem}VLFuse_layers.0.b_attn.", f"{stem}roberta_layers.0."
    sizes = Sizes(
        **deformable_sizes(state, stem.removesuffix("."), "transformer.ho_decoder"),
        pairs=state[_QUERY_TABLES[kind]].shape[0] // 2,
        fusions=count_layers(state, f"{stem}VLFuse_layers."),
        branch_fusion="transformer.verb_tgt_generator.fc_1.0.weight" in state,
        gate=gate or ("scalar" if is_swin(state) else "vector"),
        fusion_dim=state[f"{fusion}attn.v_proj.weight"].shape[0],
        language_heads=text.num_attention_heads,
        language_feedforward=state[f"{language}intermediate.dense.weight"].shape[0],
    )
    return Blueprint(kind, sizes, backbone, text.to_diff_dict())


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`.

    Args:
        state: published name -> tensor.
        blueprint: of the model that is loaded; the numbering of the box heads depends on its decoder layers.
    """
    return rename_all(
        state,
        our_name=our_name,
        alias_of=partial(alias_of, decoder_layers=blueprint.sizes.decoder_layers),
        unused=unused_names(blueprint.kind),
    )
