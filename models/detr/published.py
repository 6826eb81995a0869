"""The `.pth` files of DETR (github.com/facebookresearch/detr), and its names from ours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from relforge.models.blocks.published_detr import DETR_RULES, decoder_rules, detr_sizes
from relforge.models.blocks.published_names import Rule, backbone_of, has_prefix, rename_all, rename_by
from relforge.models.blueprint import Blueprint
from relforge.models.detectors import coco_rows
from relforge.models.detr.sizes import Sizes
from relforge.models.detr_detectors import is_detr

_RULES: list[Rule] = [
    (r"^query_embed\.", "queries."),
    (r"^class_embed\.", "class_head."),
    (r"^bbox_embed\.", "box."),
    *decoder_rules("decoder", "decoder"),
    *DETR_RULES,
]
_BACK: list[Rule] = [
    (r"^tokens\.projection\.", "input_proj."),
    (r"^queries\.", "query_embed."),
    (r"^class_head\.", "class_embed."),
    (r"^box\.", "bbox_embed."),
    (r"^decoder\.layers\.(\d+)\.cross_attn\.", r"transformer.decoder.layers.\1.multihead_attn."),
    (r"^(encoder|decoder)\.", r"transformer.\1."),
]


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model."""
    if not is_detr(state) or not has_prefix(state, "backbone."):
        return None
    sizes = Sizes(**detr_sizes(state, "transformer.decoder"), queries=len(state["query_embed.weight"]))
    return Blueprint("detr", sizes, backbone_of(state), None, coco_rows(len(state["class_embed.weight"]) - 1))


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`."""
    return rename_all(state, our_name=partial(rename_by, _RULES), alias_of=lambda key: None)


def published_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ours under the authors' names, but for the backbone."""
    return {key: tensor for name, tensor in weights.items() if (key := rename_by(_BACK, name)) is not None}
