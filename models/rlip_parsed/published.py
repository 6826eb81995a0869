"""The `.pth` files of RLIP-ParSeD, of RLIP's repository and of RLIPv2's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from relforge.models.blocks.published_names import (
    DEFORMABLE_RULES,
    TEXT_RULES,
    Rule,
    alias_of,
    backbone_of,
    deformable_sizes,
    has_text_encoder,
    rename_all,
    rename_by,
    text_encoder_of,
)
from relforge.models.blueprint import Blueprint
from relforge.models.rlip_parsed.sizes import Sizes

_RULES: list[Rule] = [
    *DEFORMABLE_RULES,
    *TEXT_RULES,
    (r"^transformer\.obj_fusion\.", "entity_fusion."),
    (r"^transformer\.verb_fusion\.", "relation_fusion."),
]


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model."""
    wanted = (
        "transformer.ho_encoder.layers.0.linear1.weight",
        "transformer.obj_fusion.norm.weight",
        "transformer.level_embed",
        "query_embed.weight",
    )
    if not has_text_encoder(state) or not all(key in state for key in wanted):
        return None
    shape = deformable_sizes(state, "transformer.ho_encoder", "transformer.ho_decoder")
    sizes = Sizes(**shape, pairs=len(state["query_embed.weight"]) // 2)
    return Blueprint("rlip_parsed", sizes, backbone_of(state), text_encoder_of(state).to_diff_dict())


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`."""
    alias = partial(alias_of, decoder_layers=blueprint.sizes.decoder_layers)
    return rename_all(state, our_name=partial(rename_by, _RULES), alias_of=alias)
