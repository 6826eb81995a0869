"""The `.pth` files of RLIP-ParSe; RLIP's repository and RLIPv2's have the same names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from relforge.models.blocks.published_detr import DETR_RULES, decoder_rules, detr_sizes
from relforge.models.blocks.published_names import (
    TEXT_RULES,
    Rule,
    backbone_of,
    has_text_encoder,
    rename_all,
    rename_by,
    text_encoder_of,
)
from relforge.models.blueprint import Blueprint
from relforge.models.rlip_parse.sizes import Sizes

_ENTITIES = "transformer.ho_decoder"
_DECODERS = {"ho_decoder": "pairs.decoder", "verb_decoder": "relations.decoder"}


def _decoder_rules(theirs: str, ours: str) -> list[Rule]:
    """Norms count the text attention that the authors removed: 1, 3, 4."""
    layer = rf"^transformer\.{theirs}\.(layers\.\d+\.)"
    return [
        (rf"{layer}cross_attn_image\.", rf"{ours}.\1cross_attn."),
        (rf"{layer}norm3\.", rf"{ours}.\1norm2."),
        (rf"{layer}norm4\.", rf"{ours}.\1norm3."),
        *decoder_rules(theirs, ours),
    ]


_RULES = [
    *TEXT_RULES,
    *DETR_RULES,
    *(rule for names in _DECODERS.items() for rule in _decoder_rules(*names)),
]


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model."""
    wanted = (f"{_ENTITIES}.layers.0.cross_attn_image.in_proj_weight", "query_embed.weight")
    if not has_text_encoder(state) or not all(key in state for key in wanted):
        return None
    sizes = Sizes(**detr_sizes(state, _ENTITIES), pairs=len(state["query_embed.weight"]) // 2)
    return Blueprint("rlip_parse", sizes, backbone_of(state), text_encoder_of(state).to_diff_dict())


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`."""
    return rename_all(state, our_name=partial(rename_by, _RULES), alias_of=lambda key: None)
