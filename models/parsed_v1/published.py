"""The `.pth` files of ParSeD (github.com/JacobYuan7/RLIP and RLIPv2)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from relforge.models.blocks.published_names import (
    DEFORMABLE_RULES,
    LINEAR_RULES,
    alias_of,
    backbone_of,
    deformable_sizes,
    has_text_encoder,
    rename_all,
    rename_by,
    unnamed,
)
from relforge.models.blueprint import Blueprint
from relforge.models.parsed_v1.sizes import Sizes

our_name = partial(rename_by, [*DEFORMABLE_RULES, *LINEAR_RULES])


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model. A file does not state whether the object
    classifier was meant for subjects too, nor the names of its labels."""
    wanted = (
        "transformer.ho_encoder.layers.0.linear1.weight",
        "obj_class_embed.0.weight",
        "verb_class_embed.0.weight",  # a converted detector has none
    )
    if has_text_encoder(state) or not all(key in state for key in wanted):
        return None
    shape = deformable_sizes(state, "transformer.ho_encoder", "transformer.ho_decoder")
    sizes = Sizes(**shape, pairs=len(state["query_embed.weight"]) // 2)
    classes = unnamed("class", len(state["obj_class_embed.0.weight"]) - 1)
    relations = unnamed("relation", len(state["verb_class_embed.0.weight"]))
    return Blueprint("parsed_v1", sizes, backbone_of(state), None, classes, relations)


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`."""
    alias = partial(alias_of, decoder_layers=blueprint.sizes.decoder_layers)
    return rename_all(state, our_name=our_name, alias_of=alias)
