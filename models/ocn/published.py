"""The `.pth` files of OCN: github.com/JacobYuan7/OCN-HOI-Benchmark and RLIPv2's repository."""

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
from relforge.models.blocks.published_names import Rule, backbone_of, rename_all, rename_by
from relforge.models.blueprint import Blueprint
from relforge.models.ocn.sizes import Sizes

_SIDE = {"vision": "visual", "semantic": "semantic"}
_PART = {
    "W1": "mixer.linear2",
    "W2": "mixer.linear1",
    "W3": "mixer.values",
    "LayerNorm": "mixer.norm",
    "sq": "squeeze",
    "ex": "excite",
    "bilinear1": "left",
    "bilinear2": "right",
    "coef": "scale",
}
_GRAPH = {"q": "query", "k": "key", "v": "value"}

_RULES: list[Rule] = [
    *DETR_RULES,
    *decoder_rules("decoder", "pairs.decoder"),
    (r"^obj_verb_co$", "relations.object_prior"),
    (r"^verb_verb_co$", "relations.co_occurrence"),
    (r"^verb_word_embedding$", "relations.words"),
    (r"^semantic_graph\.semantic_proj_res\.", "relations.graph.residual."),
    (r"^semantic_graph\.semantic_([qkv])\.0\.", lambda m: f"relations.graph.{_GRAPH[m[1]]}."),
    (r"^fusion_1\.", "relations.visual_out."),
    (r"^fusion_2\.", "relations.semantic_out."),
    (
        r"^cross_modal_calibration\.CrossAtt\.0\.(vision|semantic)_(\w+)\.",
        lambda m: f"relations.{_SIDE[m[1]]}_cross.{_PART[m[2]]}.",
    ),
    (
        r"^cross_modal_calibration\.(vision|semantic)_intra_trans\.0\.(\w+)\.",
        lambda m: f"relations.{_SIDE[m[1]]}_self.{_PART[m[2]]}.",
    ),
]
_UNUSED = tuple(f"{gate}.{part}" for gate in ("semantic_gate2", "hs_gate") for part in ("weight", "bias"))
"""Of the authors' repository: no computation reads them."""


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint | None:
    """What a file was built from; None if it is of another model. The prior knowledge is in the file; whether
    its prior of objects was conditional or joint is not, and makes no difference to a finished model."""
    if not is_pair_detr(state, "transformer.decoder") or "verb_word_embedding" not in state:
        return None
    sizes = Sizes(
        **detr_sizes(state, "transformer.decoder"),
        pairs=len(state["query_embed.weight"]),
        word_width=state["verb_word_embedding"].shape[1],
    )
    return Blueprint("ocn", sizes, backbone_of(state), None, *label_names(state))


def rename(
    state: Mapping[str, Tensor], blueprint: Blueprint
) -> tuple[dict[str, tuple[str, Tensor]], list[str]]:
    """The entries that are used, under our names; see `rename_all`."""
    return rename_all(state, our_name=partial(rename_by, _RULES), alias_of=lambda key: None, unused=_UNUSED)
