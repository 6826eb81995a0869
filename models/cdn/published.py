"""The `.pth` files of CDN, with or without matching head: github.com/YueLiao/CDN and RLIPv2's repository."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from relforge.models.blocks.published_detr import (
    DETR_RULES,
    decoder_rules,
    detr_sizes,
    is_pair_detr,
    label_names,
)
from relforge.models.blocks.published_names import (
    backbone_of,
    count_layers,
    has_prefix,
    rename_all,
    rename_by,
)
from relforge.models.blueprint import Blueprint
from relforge.models.cdn.sizes import Sizes

_RELATIONS = "transformer.interaction_decoder."
_RULES = [
    *DETR_RULES,
    *decoder_rules("decoder", "pairs.decoder"),
    *decoder_rules("interaction_decoder", "relations.decoder"),
    (r"^matching_embed\.", "pair_head."),
]


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model."""
    if not is_pair_detr(state, "transformer.decoder") or not has_prefix(state, _RELATIONS):
        return None
    sizes = Sizes(
        **detr_sizes(state, "transformer.decoder"),
        relation_layers=count_layers(state, f"{_RELATIONS}layers."),
        pairs=len(state["query_embed.weight"]),
        matching="matching_embed.weight" in state,
    )
    return Blueprint("cdn", sizes, backbone_of(state), None, *label_names(state))


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`."""
    return rename_all(state, our_name=partial(rename_by, _RULES), alias_of=lambda key: None)
