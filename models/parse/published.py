"""The `.pth` files of ParSe; RLIP's repository and RLIPv2's have the same names."""

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
from relforge.models.blocks.published_names import backbone_of, rename_all, rename_by
from relforge.models.blueprint import Blueprint
from relforge.models.parse.sizes import Sizes

_ENTITIES = "transformer.ho_decoder"
_RULES = [
    *DETR_RULES,
    *decoder_rules("ho_decoder", "pairs.decoder"),
    *decoder_rules("verb_decoder", "relations.decoder"),
]


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model. A file does not state whether the object
    classifier was meant for subjects too, nor the names of its labels."""
    if not is_pair_detr(state, _ENTITIES):
        return None
    sizes = Sizes(**detr_sizes(state, _ENTITIES), pairs=len(state["query_embed.weight"]) // 2)
    return Blueprint("parse", sizes, backbone_of(state), None, *label_names(state))


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`."""
    return rename_all(state, our_name=partial(rename_by, _RULES), alias_of=lambda key: None)
