"""The `.pth` files of QPIC: the authors' (github.com/hitachi-rd-cv/qpic) and RLIPv2's have the same names."""

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
from relforge.models.blocks.published_names import backbone_of, has_prefix, rename_all, rename_by
from relforge.models.blueprint import Blueprint
from relforge.models.qpic.sizes import Sizes

_RULES = [*DETR_RULES, *decoder_rules("decoder", "pairs.decoder")]
_OTHERS = ("transformer.interaction_decoder.", "semantic_graph.")
"""Of CDN and OCN, which have QPIC's names besides."""


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model. The number of classes tells the data set:
    80 of HICO-DET, 81 of V-COCO, whose last one is an object that is not there."""
    if not is_pair_detr(state, "transformer.decoder") or any(has_prefix(state, p) for p in _OTHERS):
        return None
    shape = detr_sizes(state, "transformer.decoder")
    sizes = Sizes(**shape, pairs=len(state["query_embed.weight"]))
    return Blueprint("qpic", sizes, backbone_of(state), None, *label_names(state))


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`."""
    return rename_all(state, our_name=partial(rename_by, _RULES), alias_of=lambda key: None)
